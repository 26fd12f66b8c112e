// A thin face of SPI, and arrays of parameters for set-wise statements.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pg/server/server.h"

namespace fraud::pg {

// A statement that is prepared once a session. Objects of this type are static.
class Statement {
 public:
  Statement(const char* sql, std::vector<Oid> types) : sql_(sql), types_(std::move(types)) {}
  SPIPlanPtr plan();  // prepares at first use; throws PgError

 private:
  const char* sql_;
  std::vector<Oid> types_;
  SPIPlanPtr plan_ = nullptr;
};

struct SqlValue {
  Datum value = (Datum)0;
  bool null = false;
};

// Has cursors of this transaction (or nest level of settings) planned to be read to
// the end, whereas they are for their first rows, and sort with maintenance_work_mem.
// Runs as part of Postgres.
void plan_for_all_rows();

// One level of SPI, ended with the scope. Results live until then.
class Spi {
 public:
  Spi();
  // Of a procedure that commits: its cursors and its level outlive that.
  enum class Commits { kYes };
  explicit Spi(Commits);
  ~Spi() noexcept;
  Spi(const Spi&) = delete;
  Spi& operator=(const Spi&) = delete;

  // Runs the statement. With read_only it sees the snapshot that is active, else
  // a new one that sees what earlier statements of this transaction did. Returns
  // the number of rows processed or returned.
  uint64_t run(Statement& statement, const std::vector<SqlValue>& params, bool read_only = false);
  // The same of a text that is planned for this once.
  uint64_t run(const std::string& sql, bool read_only = false);

  // Values of the last result.
  uint64_t rows() const noexcept { return rows_; }
  std::optional<std::string> text(uint64_t row, int column) const;  // by output function
  std::optional<Datum> datum(uint64_t row, int column) const;       // by reference: in SPI memory
  std::optional<int64_t> integer(uint64_t row, int column) const;
  std::optional<double> number(uint64_t row, int column) const;

 private:
  int exceptions_;
  uint64_t rows_ = 0;
};

// Single parameters. Texts are copied to the current memory context.
SqlValue text_param(std::string_view value);
SqlValue jsonb_param(const std::string& json);
SqlValue optional_text_param(std::string_view value);  // empty is null
SqlValue int4_param(int32_t value);
SqlValue int8_param(int64_t value);
SqlValue float8_param(double value);
SqlValue bool_param(bool value);
SqlValue time_param(TimestampTz value);
SqlValue bytea_param(std::string_view value);
SqlValue uuid_param(const pg_uuid_t& value);
SqlValue null_param();

// Collects one parameter's values for unnest(): a column of rows to insert.
class Column {
 public:
  explicit Column(Oid type);
  void add(SqlValue value);
  SqlValue array() const;  // builds the array in the current memory context
  size_t size() const noexcept { return values_.size(); }

 private:
  Oid type_;
  std::vector<Datum> values_;
  std::vector<char> nulls_;
};

}  // namespace fraud::pg
