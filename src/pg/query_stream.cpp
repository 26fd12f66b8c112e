#include "pg/boundary.h"

#include "pg/query_stream.h"

#include <cmath>
#include <exception>
#include <limits>

namespace fraud::pg {

namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// Where a block's rows are written to: plain pointers, so that errors may pass.
struct Target {
  float* values;
  float* labels;
  TimestampTz* times;
  size_t features;
};

void read_vector(Datum datum, float* row, size_t features) {
  ArrayType* vector = DatumGetArrayTypeP(datum);
  if (ARR_NDIM(vector) != 1 || ARR_HASNULL(vector) || (size_t)ARR_DIMS(vector)[0] != features) {
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("a stored feature vector has not %zu values", features)));
  }
  memcpy(row, ARR_DATA_PTR(vector), features * sizeof(float));
}

void read_rows(const Target& target) {
  TupleDesc description = SPI_tuptable->tupdesc;
  Datum* values = (Datum*)palloc(sizeof(Datum) * description->natts);
  bool* nulls = (bool*)palloc(sizeof(bool) * description->natts);
  bool vectors = description->natts == 3 && TupleDescAttr(description, 2)->atttypid == FLOAT4ARRAYOID;
  for (uint64 i = 0; i < SPI_processed; ++i) {
    heap_deform_tuple(SPI_tuptable->vals[i], description, values, nulls);
    if (nulls[0]) ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("an event has no time")));
    target.times[i] = DatumGetTimestampTz(values[0]);
    target.labels[i] = nulls[1] ? kMissing : (DatumGetFloat8(values[1]) != 0 ? 1.0F : 0.0F);
    float* row = target.values + i * target.features;
    if (vectors) {
      read_vector(values[2], row, target.features);
      continue;
    }
    for (size_t f = 0; f < target.features; ++f) {
      row[f] = nulls[f + 2] ? kMissing : (float)DatumGetFloat8(values[f + 2]);
    }
  }
}

}  // namespace

QueryStream::QueryStream(const std::string& query, size_t features, TimestampTz from, TimestampTz to,
                         size_t block_rows)
    : features_(features),
      block_rows_(block_rows),
      exceptions_(std::uncaught_exceptions()),
      values_(block_rows * features),
      labels_(block_rows),
      times_(block_rows) {
  const char* text = query.c_str();
  portal_ = protect([&] {
    if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "SPI_connect failed");
    Oid types[2] = {TIMESTAMPTZOID, TIMESTAMPTZOID};
    Datum values[2] = {TimestampTzGetDatum(from), TimestampTzGetDatum(to)};
    Portal portal = SPI_cursor_open_with_args(nullptr, text, 2, types, values, nullptr, true, 0);
    int expected = (int)features + 2;
    int found = portal->tupDesc->natts;
    if (found != expected && !(found == 3 && TupleDescAttr(portal->tupDesc, 2)->atttypid == FLOAT4ARRAYOID)) {
      ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                      errmsg("expected %d columns of training data, not %d", expected, found)));
    }
    return portal;
  });
}

QueryStream::~QueryStream() noexcept {
  // After an error the transaction's abort ends this level of SPI.
  if (std::uncaught_exceptions() > exceptions_) return;
  SPI_cursor_close(portal_);
  SPI_finish();
}

bool QueryStream::next(QueryBlock* block) {
  Target target = {values_.data(), labels_.data(), times_.data(), features_};
  size_t rows = protect([&] {
    CHECK_FOR_INTERRUPTS();
    SPI_cursor_fetch(portal_, true, (long)block_rows_);
    MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "training rows", ALLOCSET_DEFAULT_SIZES);
    MemoryContext old = MemoryContextSwitchTo(work);
    read_rows(target);
    MemoryContextSwitchTo(old);
    MemoryContextDelete(work);
    size_t count = SPI_processed;
    SPI_freetuptable(SPI_tuptable);
    return count;
  });
  *block = {rows, values_.data(), labels_.data(), times_.data()};
  return rows > 0;
}

}  // namespace fraud::pg
