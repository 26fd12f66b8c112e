#include "pg/server/query_stream.h"

#include <cmath>
#include <exception>
#include <limits>

#include "pg/server/boundary.h"
#include "pg/server/spi.h"

extern "C" {
#include "executor/tuptable.h"
#include "tcop/dest.h"
#include "tcop/pquery.h"
}

namespace fraud::pg {

namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

}  // namespace

// Takes rows from the executor into a block, without a copy between. It runs as part of
// Postgres: it may raise, and holds nothing that needs a destructor.
struct QueryStream::Receiver {
  DestReceiver base;
  size_t features, rows;
  float* values;
  float* labels;
  TimestampTz* times;
  bool vectors;        // the features come as one float4[]
  Oid* types;          // of the columns

  static void start(DestReceiver* self, int, TupleDesc) { reinterpret_cast<Receiver*>(self)->rows = 0; }
  static bool take(TupleTableSlot* slot, DestReceiver* self) {
    auto* to = reinterpret_cast<Receiver*>(self);
    slot_getallattrs(slot);
    if (slot->tts_isnull[0]) {
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("an event's time must not be null"),
                      errhint("Leave such rows out by a view.")));
    }
    to->times[to->rows] = DatumGetTimestampTz(slot->tts_values[0]);
    to->labels[to->rows] =
        slot->tts_isnull[1] ? kMissing : (DatumGetFloat8(slot->tts_values[1]) != 0 ? 1.0F : 0.0F);
    float* row = to->values + to->rows * to->features;
    if (to->vectors) {
      read_vector(slot->tts_values[2], row, to->features);
    } else {
      for (size_t f = 0; f < to->features; ++f) {
        const Datum value = slot->tts_values[f + 2];
        row[f] = slot->tts_isnull[f + 2] ? kMissing
                 : to->types[f + 2] == FLOAT4OID ? DatumGetFloat4(value)
                                                 : (float)DatumGetFloat8(value);
      }
    }
    ++to->rows;
    return true;
  }
  static void read_vector(Datum datum, float* row, size_t features) {
    ArrayType* vector = DatumGetArrayTypeP(datum);
    if (ARR_NDIM(vector) != 1 || ARR_HASNULL(vector) || (size_t)ARR_DIMS(vector)[0] != features) {
      ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                      errmsg("expected a stored feature vector of %zu values without nulls", features)));
    }
    memcpy(row, ARR_DATA_PTR(vector), features * sizeof(float));
    if (vector != (ArrayType*)DatumGetPointer(datum)) pfree(vector);
  }
};

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
    plan_for_all_rows();
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
  size_t rows = protect([&] {
    CHECK_FOR_INTERRUPTS();
    TupleDesc description = portal_->tupDesc;
    Oid types[MaxTupleAttributeNumber];
    for (int i = 0; i < description->natts; ++i) types[i] = TupleDescAttr(description, i)->atttypid;
    Receiver receiver = {{}, features_, 0, values_.data(), labels_.data(), times_.data(),
                         description->natts == 3 && types[2] == FLOAT4ARRAYOID, types};
    receiver.base.receiveSlot = Receiver::take;
    receiver.base.rStartup = Receiver::start;
    receiver.base.rShutdown = [](DestReceiver*) {};
    receiver.base.rDestroy = [](DestReceiver*) {};
    receiver.base.mydest = DestNone;
    PortalRunFetch(portal_, FETCH_FORWARD, (long)block_rows_, &receiver.base);
    return receiver.rows;
  });
  *block = {rows, values_.data(), labels_.data(), times_.data()};
  return rows > 0;
}

}  // namespace fraud::pg
