#include "pg/server/boundary.h"

#include <exception>
#include <memory>

#include "pg/server/spi.h"

namespace fraud::pg {

SPIPlanPtr Statement::plan() {
  if (plan_ == nullptr) {
    protect([this] {
      SPIPlanPtr plan = SPI_prepare(sql_, (int)types_.size(), types_.data());
      if (plan == nullptr) elog(ERROR, "SPI_prepare: %s", SPI_result_code_string(SPI_result));
      if (SPI_keepplan(plan) != 0) elog(ERROR, "SPI_keepplan failed");
      plan_ = plan;
    });
  }
  return plan_;
}

Spi::Spi() : exceptions_(std::uncaught_exceptions()) {
  protect([] {
    if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "SPI_connect failed");
  });
}

Spi::Spi(Commits) : exceptions_(std::uncaught_exceptions()) {
  protect([] {
    if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT) elog(ERROR, "SPI_connect failed");
  });
}

Spi::~Spi() noexcept {
  // After an error the (sub)transaction's abort ends this level of SPI.
  if (std::uncaught_exceptions() > exceptions_) return;
  SPI_finish();
}

uint64_t Spi::run(Statement& statement, const std::vector<SqlValue>& params, bool read_only) {
  SPIPlanPtr plan = statement.plan();
  std::vector<Datum> values(params.size());
  std::string nulls(params.size(), ' ');
  for (size_t i = 0; i < params.size(); ++i) {
    values[i] = params[i].value;
    if (params[i].null) nulls[i] = 'n';
  }
  Datum* value_array = values.data();
  const char* null_array = nulls.c_str();
  protect([&] {
    int result = SPI_execute_plan(plan, value_array, null_array, read_only, 0);
    if (result < 0) elog(ERROR, "SPI_execute_plan: %s", SPI_result_code_string(result));
  });
  rows_ = SPI_processed;
  return rows_;
}

uint64_t Spi::run(const std::string& sql, bool read_only) {
  const char* text = sql.c_str();
  protect([&] {
    const int result = SPI_execute(text, read_only, 0);
    if (result < 0) elog(ERROR, "SPI_execute: %s", SPI_result_code_string(result));
  });
  rows_ = SPI_processed;
  return rows_;
}

std::optional<Datum> Spi::datum(uint64_t row, int column) const {
  bool null = true;
  Datum value = protect([&] {
    return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &null);
  });
  if (null) return std::nullopt;
  return value;
}

std::optional<std::string> Spi::text(uint64_t row, int column) const {
  char* value = protect(
      [&] { return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column); });
  if (value == nullptr) return std::nullopt;
  std::string text(value);
  protect([&] { pfree(value); });
  return text;
}

std::optional<int64_t> Spi::integer(uint64_t row, int column) const {
  std::optional<Datum> value = datum(row, column);
  if (!value) return std::nullopt;
  if (SPI_gettypeid(SPI_tuptable->tupdesc, column) == INT4OID) return DatumGetInt32(*value);
  return DatumGetInt64(*value);
}

std::optional<double> Spi::number(uint64_t row, int column) const {
  std::optional<Datum> value = datum(row, column);
  if (!value) return std::nullopt;
  return DatumGetFloat8(*value);
}

SqlValue text_param(std::string_view value) {
  return {protect([&] {
    return PointerGetDatum(cstring_to_text_with_len(value.data(), (int)value.size()));
  })};
}

SqlValue jsonb_param(const std::string& json) {
  const char* text = json.c_str();
  return {protect([&] { return DirectFunctionCall1(jsonb_in, CStringGetDatum(text)); })};
}

SqlValue optional_text_param(std::string_view value) {
  return value.empty() ? null_param() : text_param(value);
}

SqlValue int4_param(int32_t value) { return {Int32GetDatum(value)}; }
SqlValue int8_param(int64_t value) { return {Int64GetDatum(value)}; }
SqlValue float8_param(double value) { return {Float8GetDatum(value)}; }
SqlValue bool_param(bool value) { return {BoolGetDatum(value)}; }
SqlValue time_param(TimestampTz value) { return {TimestampTzGetDatum(value)}; }
SqlValue null_param() { return {(Datum)0, true}; }
SqlValue bytea_param(std::string_view value) { return text_param(value); }  // same varlena form

SqlValue uuid_param(const pg_uuid_t& value) {
  return {protect([&] {
    pg_uuid_t* copy = (pg_uuid_t*)palloc(sizeof(pg_uuid_t));
    *copy = value;
    return UUIDPGetDatum(copy);
  })};
}

Column::Column(Oid type) : type_(type) {}

void Column::add(SqlValue value) {
  values_.push_back(value.value);
  nulls_.push_back(value.null ? 1 : 0);
}

SqlValue Column::array() const {
  auto nulls = std::make_unique<bool[]>(nulls_.size() + 1);
  for (size_t i = 0; i < nulls_.size(); ++i) nulls[i] = nulls_[i] != 0;
  bool* null_array = nulls.get();
  Datum* values = const_cast<Datum*>(values_.data());
  int count = (int)values_.size();
  Oid type = type_;
  return {protect([&] {
    int16 length;
    bool by_value;
    char align;
    get_typlenbyvalalign(type, &length, &by_value, &align);
    int dims[1] = {count};
    int lower[1] = {1};
    if (count == 0) return PointerGetDatum(construct_empty_array(type));
    return PointerGetDatum(construct_md_array(values, null_array, 1, dims, lower, type, length,
                                              by_value, align));
  })};
}

void plan_for_all_rows() {
  (void)set_config_option("cursor_tuple_fraction", "1", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                          true, 0, false);
  if (maintenance_work_mem <= work_mem) return;
  char size[32];
  pg_snprintf(size, sizeof(size), "%d", maintenance_work_mem);
  (void)set_config_option("work_mem", size, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

}  // namespace fraud::pg
