#include "pg/features/event_reader.h"

#include <algorithm>
#include <new>

#include "pg/server/boundary.h"
#include "pg/server/numeric_value.h"

extern "C" {
#include "executor/tuptable.h"
#include "utils/datum.h"
}

namespace fraud::pg {

namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// Types whose datum is the value itself, so that no two values share one.
bool is_whole_number(Oid type) {
  switch (type) {
    case BOOLOID:
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case OIDOID:
    case DATEOID:
    case TIMEOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string select_list(const std::vector<EventColumn>& columns) {
  std::string list;
  for (const EventColumn& column : columns) {
    list += (list.empty() ? "SELECT " : ", ") + column.sql + " AS \"?" +
            std::to_string(&column - columns.data()) + "\"";
  }
  return list;
}

void EventBatch::clear() {
  rows = 0;
  tags.clear();
  table_rows.clear();
  times.clear();
  ids.clear();
  labels.clear();
  known_at.clear();
  turns.clear();
  turn_ends.clear();
  locals.clear();
  cells.clear();
  key_bytes.clear();
  key_ends.clear();
}

size_t EventBatch::bytes() const noexcept {
  auto size = [](const auto& column) { return column.capacity() * sizeof(column[0]); };
  return size(tags) + size(table_rows) + size(times) + size(ids) + size(labels) + size(known_at) + size(turns) + size(turn_ends) + size(locals) + size(cells) +
         size(key_bytes) + size(key_ends);
}

Event EventBatch::event(size_t row) const noexcept {
  Event event;
  event.time_us = times[row];
  if (turn_ends.empty() || turn_ends[row] == (row == 0 ? 0 : turn_ends[row - 1])) {
    event.known_fraud_us = labels[row] == 1.0F ? known_at[row] : kNever;
    return event;
  }
  const size_t first = row == 0 ? 0 : turn_ends[row - 1];
  event.known_fraud_us = turns[first];
  event.turns = turns.data() + first + 1;
  event.turn_count = turn_ends[row] - first - 1;
  return event;
}

float EventBatch::label_by(size_t row, int64_t known_by) const noexcept {
  const Event turned = event(row);
  if (turned.turn_count == 0) return known_at[row] <= known_by ? labels[row] : kMissing;
  if (turned.known_fraud_us > known_by) return kMissing;
  const int64_t* end = turned.turns + turned.turn_count;
  return (std::upper_bound(turned.turns, end, known_by) - turned.turns) % 2 == 0 ? 1.0F : 0.0F;
}

void EventBatch::keys_of(size_t row, size_t keys, std::vector<std::string_view>* result) const {
  result->assign(keys, {});
  if (keys == 0) return;
  // A key begins where the last one that is not null ended.
  size_t before = row * keys;
  size_t begin = 0;
  while (before > 0) {
    if (key_ends[--before] != kNullKey) {
      begin = key_ends[before];
      break;
    }
  }
  for (size_t key = 0; key < keys; ++key) {
    const uint32_t end = key_ends[row * keys + key];
    if (end == kNullKey) continue;
    (*result)[key] = std::string_view(key_bytes).substr(begin, end - begin);
    begin = end;
  }
}

EventReader::EventReader(const FeatureSet& set, std::vector<EventColumn> columns, size_t locals,
                         size_t cells, size_t keys)
    : set_(set),
      columns_(std::move(columns)),
      locals_(locals),
      cells_(cells),
      keys_(keys),
      forms_(columns_.size()),
      types_(columns_.size()),
      values_(columns_.size()) {
  memset(&receiver_, 0, sizeof(receiver_));
  receiver_.base.receiveSlot = receive;
  receiver_.base.rStartup = startup;
  receiver_.base.rShutdown = [](DestReceiver*) {};
  receiver_.base.rDestroy = [](DestReceiver*) {};
  receiver_.base.mydest = DestNone;
  receiver_.reader = this;
  protect([this] {
    context_ = AllocSetContextCreate(CurrentMemoryContext, "fraud_detect events", ALLOCSET_DEFAULT_SIZES);
    form_context_ = AllocSetContextCreate(CurrentMemoryContext, "fraud_detect columns", ALLOCSET_SMALL_SIZES);
  });
}

EventReader::~EventReader() noexcept {
  if (std::uncaught_exceptions() > 0) return;  // the abort frees them with their parent
  MemoryContextDelete(context_);
  MemoryContextDelete(form_context_);
}

void EventReader::clear() {
  batch_.clear();
  kept_values_.clear();
  kept_nulls_.clear();
  MemoryContext context = context_;
  protect([&] { MemoryContextReset(context); });
}

size_t EventReader::bytes() const {
  return batch_.bytes() + MemoryContextMemAllocated(context_, true);
}

void EventReader::check() const {
  if (out_of_memory_) throw std::bad_alloc();
  if (failure_ != nullptr) std::rethrow_exception(failure_);
  if (bad_changes_) {
    throw SqlError(ERRCODE_DATA_EXCEPTION, "label_changes of feature set \"" + set_.name + "\" are not in order",
                   "They are times without nulls, each later than the one before.");
  }
  if (!over_limit_) return;
  throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                 "the events in the windows of feature set \"" + set_.name +
                     "\" take more than fraud_detect.feature_memory",
                 {}, "Raise the setting, or declare shorter windows for keys with so many events.");
}

void EventReader::startup(DestReceiver* self, int, TupleDesc descriptor) {
  reinterpret_cast<Receiver*>(self)->reader->start(descriptor);
}

// Runs as part of Postgres: it may raise, and holds nothing that needs a destructor.
void EventReader::start(TupleDesc descriptor) {
  if (descriptor->natts != static_cast<int>(columns_.size())) elog(ERROR, "unexpected columns");
  // Partition after partition, and group after group, are of the same types.
  bool same = started_;
  for (int i = 0; same && i < descriptor->natts; ++i) {
    Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    same = attribute->atttypid == types_[(size_t)i] && attribute->attcollation == forms_[(size_t)i].collation;
  }
  if (same) return;
  started_ = false;
  MemoryContextReset(form_context_);
  for (int i = 0; i < descriptor->natts; ++i) {
    Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    Form& form = forms_[(size_t)i];
    Oid type = getBaseType(attribute->atttypid);
    types_[(size_t)i] = attribute->atttypid;
    form.by_value = attribute->attbyval;
    form.length = attribute->attlen;
    form.whole_number = is_whole_number(type);
    form.numeric = type == NUMERICOID;
    form.collation = attribute->attcollation;
    form.hash = nullptr;
    const EventColumn::Kind kind = columns_[(size_t)i].kind;
    if ((kind == EventColumn::Kind::kNumber || kind == EventColumn::Kind::kNumberInput) &&
        type != FLOAT8OID && type != NUMERICOID) {
      elog(ERROR, "unexpected type %s", format_type_be(type));
    }
    if (columns_[(size_t)i].kind != EventColumn::Kind::kHashInput || form.whole_number) continue;
    TypeCacheEntry* entry = lookup_type_cache(type, TYPECACHE_HASH_EXTENDED_PROC);
    if (!OidIsValid(entry->hash_extended_proc)) {
      ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                      errmsg("type %s has no hash function", format_type_be(type)),
                      errdetail("Values are told apart by their hashes."),
                      errhint("Drop the feature, and make it anew with the value cast to text.")));
    }
    form.hash = static_cast<FmgrInfo*>(MemoryContextAlloc(form_context_, sizeof(FmgrInfo)));
    fmgr_info_cxt(entry->hash_extended_proc, form.hash, form_context_);
  }
  started_ = true;
}

// Runs as part of Postgres, as start() does; what C++ does is in append().
bool EventReader::receive(TupleTableSlot* slot, DestReceiver* self) {
  EventReader* reader = reinterpret_cast<Receiver*>(self)->reader;
  slot_getallattrs(slot);
  MemoryContext old = MemoryContextSwitchTo(reader->context_);
  const size_t count = reader->columns_.size();
  TimestampTz time = DT_NOBEGIN;
  for (size_t i = 0; i < count; ++i) {
    if (slot->tts_isnull[i]) continue;
    const Form& form = reader->forms_[i];
    Datum value = slot->tts_values[i];
    switch (reader->columns_[i].kind) {
      case EventColumn::Kind::kTime:
        time = DatumGetTimestampTz(value);
        break;
      case EventColumn::Kind::kHashInput:
        if (form.hash != nullptr) {
          value = FunctionCall2Coll(form.hash, form.collation, value, Int64GetDatum(0));
        }
        break;
      case EventColumn::Kind::kNumber:
      case EventColumn::Kind::kNumberInput:
        if (form.numeric) value = Float8GetDatum(numeric_value(value));
        break;
      case EventColumn::Kind::kId:
        value = time < reader->ids_from_us_ ? (Datum)0 : datumCopy(value, form.by_value, form.length);
        break;
      case EventColumn::Kind::kRow:
        value = datumCopy(value, form.by_value, form.length);
        break;
      case EventColumn::Kind::kLabelChanges:
        value = PointerGetDatum(PG_DETOAST_DATUM(value));
        break;
      case EventColumn::Kind::kKeyPart:
      case EventColumn::Kind::kCategory:
        if (!form.by_value && form.length == -1) value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
        break;
      default:
        break;
    }
    if (reader->keep_values_ && reader->columns_[i].kind == EventColumn::Kind::kKeyPart) {
      value = datumCopy(value, form.by_value, form.length);
    }
    reader->values_[i] = value;
  }
  MemoryContextSwitchTo(old);
  const bool more = reader->append(reader->values_.data(), slot->tts_isnull);
  if (reader->used_) {
    MemoryContextReset(reader->context_);
    reader->used_ = false;
  }
  return more;
}

bool EventReader::append(const Datum* values, const bool* nulls) noexcept {
  try {
    append_row(values, nulls);
    if (use_block_ != nullptr && batch_.rows >= block_rows_) {
      use_block_();
      batch_.clear();
      used_ = true;
    }
    // Now and then: it adds up a dozen sizes.
    if (batch_.rows % 1024 == 0 && bytes() > most_bytes_) over_limit_ = true;
    return !over_limit_ && !bad_changes_;
  } catch (const std::bad_alloc&) {
    out_of_memory_ = true;
  } catch (...) {
    failure_ = std::current_exception();
  }
  return false;
}

// Takes the times at which a label turned: increasing ones, without nulls.
void EventReader::append_turns(Datum value) {
  ArrayType* array = DatumGetArrayTypeP(value);  // as a varlena of four bytes' header: no copy
  const int count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
  if (count == 0) return;
  const auto* times = reinterpret_cast<const int64_t*>(ARR_DATA_PTR(array));
  bool sound = !ARR_HASNULL(array);
  for (int i = 1; sound && i < count; ++i) sound = times[i - 1] < times[i];
  if (!sound) {
    bad_changes_ = true;
    return;
  }
  // Of the rows before, none.
  batch_.turn_ends.resize(batch_.rows, batch_.turns.size());
  batch_.turns.insert(batch_.turns.end(), times, times + count);
}

void EventReader::append_row(const Datum* values, const bool* nulls) {
  using Kind = EventColumn::Kind;
  const size_t local_base = batch_.locals.size(), cell_base = batch_.cells.size();
  if (keep_values_) {
    kept_values_.insert(kept_values_.end(), values, values + columns_.size());
    kept_nulls_.insert(kept_nulls_.end(), nulls, nulls + columns_.size());
  }
  batch_.locals.resize(local_base + locals_, kMissing);
  batch_.cells.resize(cell_base + cells_, kAbsent);
  int64_t time = 0, known = kNever;
  float label = kMissing;
  bool known_given = false;
  size_t key = 0, key_begin = 0;
  bool key_open = false, key_null = false;
  std::string& key_bytes = batch_.key_bytes;
  auto end_key = [&] {
    if (!key_open) return;
    // One of whose parts any is null has no value.
    if (key_null) key_bytes.resize(key_begin);
    batch_.key_ends.push_back(key_null ? kNullKey : static_cast<uint32_t>(key_bytes.size()));
    key_open = key_null = false;
  };
  for (size_t i = 0; i < columns_.size(); ++i) {
    const EventColumn& column = columns_[i];
    const Form& form = forms_[i];
    const bool null = nulls[i];
    const Datum value = values[i];
    switch (column.kind) {
      case Kind::kTag:
        batch_.tags.push_back(null ? 0 : DatumGetInt64(value));
        break;
      case Kind::kRow:
        batch_.table_rows.push_back(null ? (Datum)0 : value);
        break;
      case Kind::kTime:
        time = null ? 0 : DatumGetTimestampTz(value);
        break;
      case Kind::kId:
        batch_.ids.push_back(null ? (Datum)0 : value);
        break;
      case Kind::kLabel:
        if (!null) label = DatumGetBool(value) ? 1.0F : 0.0F;
        break;
      case Kind::kKnownAt:
        known_given = !null;
        if (!null) known = DatumGetTimestampTz(value);
        break;
      case Kind::kLabelChanges:
        if (!null) append_turns(value);
        break;
      case Kind::kNumber:
        if (!null) {
          const Cell cell = number_cell(DatumGetFloat8(value));
          if (cell != kAbsent) batch_.locals[local_base + column.index] = feature_value(cell_number(cell));
        }
        break;
      case Kind::kCategory:
        if (!null) {
          const char* text = VARDATA_ANY(DatumGetPointer(value));
          const auto& codes = set_.locals[column.index].codes;
          const auto code = codes.find(std::string(text, VARSIZE_ANY_EXHDR(DatumGetPointer(value))));
          if (code != codes.end()) batch_.locals[local_base + column.index] = code->second;
        }
        break;
      case Kind::kNumberInput:
        if (!null) batch_.cells[cell_base + column.index] = number_cell(DatumGetFloat8(value));
        break;
      case Kind::kHashInput:
        if (!null) {
          const auto cell = static_cast<Cell>(value);
          batch_.cells[cell_base + column.index] = cell == kAbsent ? kAbsent + 1 : cell;
        }
        break;
      case Kind::kKeyPart: {
        if (!key_open || key != column.index) {
          end_key();
          key = column.index;
          key_begin = key_bytes.size();
          key_open = true;
        }
        if (null) {
          key_null = true;
          break;
        }
        if (form.by_value) {
          key_bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
          break;
        }
        const char* data = form.length == -1 ? VARDATA_ANY(DatumGetPointer(value)) : DatumGetPointer(value);
        const auto size = static_cast<uint32_t>(
            form.length == -1 ? VARSIZE_ANY_EXHDR(DatumGetPointer(value))
                              : form.length == -2 ? strlen(data) : static_cast<size_t>(form.length));
        // With its length, so that "a", "bc" and "ab", "c" are different keys.
        key_bytes.append(reinterpret_cast<const char*>(&size), sizeof(size)).append(data, size);
        break;
      }
    }
  }
  end_key();
  // A label counts from label_known_at, or from its delay after the event.
  if (!known_given && __builtin_add_overflow(time, set_.label_delay_us, &known)) known = kNever;
  batch_.times.push_back(time);
  batch_.labels.push_back(label);
  batch_.known_at.push_back(known);
  if (!batch_.turns.empty()) batch_.turn_ends.resize(batch_.rows + 1, batch_.turns.size());
  ++batch_.rows;
}

}  // namespace fraud::pg
