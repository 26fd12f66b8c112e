// The training worker: one process for one run. It reads the rows, hands them to
// the training program, watches it, and stores the model.
//
// Rows are read in one transaction, with the rights of who asked for the run; none
// is open while the program trains. XGBoost cannot be stopped in a round, so it
// lives in a child process, which can be killed at any moment: a cancel, a
// shutdown or a DROP DATABASE is answered at once, a crash of the library or the
// out-of-memory killer ends the run and not the server.
#include "core/base/json.h"
#include "core/features/leak.h"
#include "core/features/metrics.h"
#include "core/features/training_periods.h"
#include "core/forest/forest.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <sys/resource.h>

#include "core/model_file/model_reader.h"
#include "pg/features/feature_fault.h"
#include "pg/features/feature_stream.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/kept_plan.h"
#include "pg/server/owner_scope.h"
#include "pg/server/query_stream.h"
#include "pg/server/spi.h"
#include "pg/training/training_state.h"
#include "worker/process.h"
#include "worker/training/test_rows.h"
#include "worker/training/training_program.h"
#include "worker/transaction.h"

extern "C" {
#include "common/cryptohash.h"
#include "pgstat.h"
#include "common/file_perm.h"
#include "postmaster/bgworker.h"
#include "storage/fd.h"

PGDLLEXPORT void fraud_detect_training_worker_main(Datum argument);
}

namespace fraud::worker {

using namespace fraud::pg;

namespace {

Statement begin_run(
    "UPDATE fraud.training_runs r SET status = 'running', started_at = clock_timestamp(),"
    "  threads = least(r.threads, $2), extension_version ="
    "   (SELECT e.extversion FROM pg_catalog.pg_extension e WHERE e.extname = 'fraud_detect'),"
    "  server_version = pg_catalog.current_setting('server_version')"
    " FROM fraud.training_queue q WHERE q.run = r.run AND r.run = $1 AND NOT q.started"
    " RETURNING r.requested_by::text, r.threads, pg_catalog.to_jsonb(r)::text, r.train_from, r.train_to,"
    "  r.validation_from, r.validation_to, r.test_from, r.test_to,"
    "  (extract(epoch FROM r.delay) * 1000000)::bigint, r.folds",
    {INT8OID, INT4OID});
Statement note_begin("UPDATE fraud.training_queue SET started = true WHERE run = $1", {INT8OID});
Statement note_rows(
    "UPDATE fraud.training_runs SET train_rows = $2, train_frauds = $3, validation_rows = $4,"
    "  validation_frauds = $5, test_rows = $6, test_frauds = $7, data_digest = $8 WHERE run = $1",
    {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, BYTEAOID});
Statement note_trial(
    "INSERT INTO fraud.training_trials (run, trial, fold, params, metric_name, metric, best_round)"
    " SELECT $1, t.trial, t.fold, t.params, t.metric_name, t.metric, t.best_round"
    " FROM jsonb_to_record($2::jsonb) t(trial int, fold int, params jsonb, metric_name text,"
    "  metric float8, best_round int)",
    {INT8OID, TEXTOID});
Statement import_model("SELECT fraud.import_model($1, $2, coalesce($3, format('training run %s', $4)))",
                       {TEXTOID, BYTEAOID, TEXTOID, INT8OID});
Statement succeed(
    "UPDATE fraud.training_runs r SET status = 'succeeded', finished_at = clock_timestamp(),"
    "  model_version = $2, used_params = s.params, rounds = s.rounds, metric_name = s.metric_name,"
    "  metric = s.metric, history = s.history, importance = s.importance,"
    "  xgboost_version = s.xgboost_version, peak_memory_kb = s.peak_memory_kb,"
    "  cpu_seconds = $5, test_metrics = $4::jsonb, warnings = $6"
    " FROM jsonb_to_record($3::jsonb) s(params jsonb, rounds int, metric_name text, metric float8,"
    "  history float8[], importance jsonb, xgboost_version text, peak_memory_kb bigint)"
    " WHERE r.run = $1",
    {INT8OID, INT4OID, TEXTOID, TEXTOID, FLOAT8OID, TEXTARRAYOID});
Statement end_badly(
    "UPDATE fraud.training_runs SET status = $2, reason = fraud._mask_card_numbers($3), finished_at = clock_timestamp()"
    " WHERE run = $1 AND status IN ('queued', 'running')",
    {INT8OID, TEXTOID, TEXTOID});
Statement leave_queue("DELETE FROM fraud.training_queue WHERE run = $1", {INT8OID});

// The server's own place for temporary files.
constexpr char kSpoolDirectory[] = "base/pgsql_tmp";

// SHA-256 over everything that was read.
class Digest {
 public:
  Digest() : hash_(protect([] { return pg_cryptohash_create(PG_SHA256); })) { check(pg_cryptohash_init(hash_)); }
  ~Digest() noexcept { pg_cryptohash_free(hash_); }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;
  void add(const void* data, size_t bytes) {
    check(pg_cryptohash_update(hash_, static_cast<const uint8*>(data), bytes));
  }
  std::string end() {
    std::string result(PG_SHA256_DIGEST_LENGTH, '\0');
    check(pg_cryptohash_final(hash_, reinterpret_cast<uint8*>(result.data()), result.size()));
    return result;
  }

 private:
  static void check(int status) {
    if (status < 0) throw SqlError(ERRCODE_INTERNAL_ERROR, "could not compute a digest",
                                   "The server's OpenSSL failed to compute SHA-256.", kCryptoHint);
  }
  pg_cryptohash_ctx* hash_;
};

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(); }

// Returns the processor time that this process and its ended child have had.
double cpu_seconds() {
  double seconds = 0;
  for (const auto who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    for (const timeval& time : {usage.ru_utime, usage.ru_stime}) {
      seconds += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    }
  }
  return seconds;
}

std::string format_bytes(double bytes) {
  return std::to_string(static_cast<int64_t>(std::ceil(bytes / 1048576))) + " MB";
}

// Settings that an expression may depend on are those of who asked for the run.
void apply_settings(const Json& settings) {
  for (const char* name : {"search_path", "timezone"}) {
    const Json& setting = settings[name];
    if (!setting.is_text()) continue;
    const char* text = setting.text().c_str();
    protect([&] {
      (void)set_config_option(name, text, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    });
  }
}

class TrainingWorker {
 public:
  TrainingWorker(int slot, int64_t run) : slot_(slot), run_(run) {
    memset(&progress_, 0, sizeof(progress_));
    progress_.metric = std::nan("");
  }

  void run() {
    if (!begin()) return;
    std::string reason;
    bool cancelled = false;
    try {
      work();
      return;
    } catch (const PgError& error) {
      if (error.data()->elevel != ERROR) throw;
      cancelled = error.data()->sqlerrcode == ERRCODE_QUERY_CANCELED;
      reason = cancelled ? "cancelled on request" : full_text(error.what(), error.data()->detail, error.data()->hint);
      forget(error);
    } catch (const SqlError& error) {
      reason = full_text(error.what(), error.detail().c_str(), error.hint().c_str());
    } catch (const Error& error) {
      reason = full_text(error.what(), error.detail().c_str(), error.hint().c_str());
    } catch (const std::bad_alloc&) {
      reason = "out of memory";
    }
    in_transaction("noting the end of a training run", [&] {
      Spi spi;
      spi.run(end_badly, {int8_param(run_), text_param(cancelled ? "cancelled" : "failed"), text_param(reason)});
      spi.run(leave_queue, {int8_param(run_)});
    });
  }

 private:
  static std::string full_text(std::string text, const char* detail, const char* hint) {
    for (const char* more : {detail, hint}) {
      if (more == nullptr || *more == '\0') continue;
      // Sentences follow on what is none yet.
      text += (!text.empty() && text.back() == '.' ? " " : ". ") + std::string(more);
    }
    for (char& c : text) {
      if (static_cast<unsigned char>(c) < 0x20) c = ' ';
    }
    return text;
  }

  // Notes that the run has begun, and reads what it is; false when it is not wanted
  // any more.
  bool begin() {
    bool wanted = false;
    std::string user;
    bool present = in_transaction("beginning a training run", [&] {
      Spi spi;
      wanted = spi.run(begin_run, {int8_param(run_), int4_param(guc_train_threads)}) == 1;
      if (!wanted) return;
      user = *spi.text(0, 1);
      config_ = Json::parse(*spi.text(0, 3));
      Period* periods[] = {&periods_.train, &periods_.validation, &periods_.test};
      for (int i = 0; i < 3; ++i) {
        std::optional<Datum> from = spi.datum(0, 4 + 2 * i);
        if (!from) continue;
        periods[i]->from = DatumGetTimestampTz(*from);
        periods[i]->to = DatumGetTimestampTz(*spi.datum(0, 5 + 2 * i));
      }
      for (const Json& name : config_["features"].values()) features_.push_back(name.text());
      periods_.fold(*spi.integer(0, 11), *spi.integer(0, 10));
      spi.run(note_begin, {int8_param(run_)});
    });
    if (present && wanted) become(user);
    return present && wanted;
  }

  // From here on this session has the role of who asked for the run: it is in the
  // audit columns, and it reads the rows.
  void become(const std::string& user) {
    const char* name = user.c_str();
    user_ = protect([&] {
      StartTransactionCommand();
      Oid role = get_role_oid(name, true);
      if (OidIsValid(role)) {
        (void)set_config_option("role", name, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SET, true, 0, false);
      }
      CommitTransactionCommand();
      return role;
    });
  }

  void work() {
    if (!OidIsValid(user_)) {
      throw SqlError(ERRCODE_UNDEFINED_OBJECT, "the role that asked for the run does not exist any more", {},
                     "Ask for the run again: fraud.train.");
    }
    (void)MakePGDirectory(kSpoolDirectory);  // mostly there already
    types_.assign(features_.size(), "float");
    if (!from_table()) {
      in_transaction("looking at a feature set", [&] {
        std::shared_ptr<const FeatureSet> set = find_feature_set(config_["feature_set"].text(), true);
        check_features(set->features);
        for (size_t i = 0; i < set->features.size(); ++i) types_[i] = set->features[i].categorical ? "c" : "float";
      });
    }
    std::string model, summary;
    if (!train(&model, &summary)) return;
    set_phase("testing");
    std::string measures = test(model);
    in_transaction("storing a model", [&] { store(model, summary, measures); });
  }

  // Reads the rows and has the program train on them; false where the extension is
  // gone. The program has ended when this returns.
  bool train(std::string* model, std::string* summary) {
    TrainingProgram program(static_cast<int64_t>(guc_train_memory_mb) * 1048576);
    program.send(MessageType::kConfig, program_config());
    // A model of the same kind, of a few made-up rows: whatever we could not read
    // is refused before it is trained.
    (void)read_model(expect(program, MessageType::kReady).body);
    set_phase("reading");
    try {
      if (!in_transaction("reading training rows", [&] { read_rows(program); })) return false;
    } catch (const PgError& error) {
      const ErrorData* data = error.data();
      if (from_table() || data->elevel != ERROR || ERRCODE_TO_CATEGORY(data->sqlerrcode) != ERRCODE_DATA_EXCEPTION) throw;
      auto or_empty = [](const char* text) { return std::string(text != nullptr ? text : ""); };
      std::string named;
      in_transaction("looking for a feature that fails", [&] {
        const std::shared_ptr<const FeatureSet> set = find_feature_set(config_["feature_set"].text(), true);
        named = faulty_event(*set, periods_.end());
      });
      throw_named(data->sqlerrcode, error.what(), or_empty(data->detail), or_empty(data->hint), named);
    }
    TrainingMessage message;
    while ((message = program.receive()).type != MessageType::kDone) {
      if (message.type == MessageType::kProgress) {
        take_progress(Json::parse(message.body));
      } else if (message.type == MessageType::kTrial) {
        std::string trial = message.body;
        in_transaction("noting a trial", [&] {
          Spi spi;
          spi.run(note_trial, {int8_param(run_), text_param(trial)});
        });
      }
    }
    *summary = message.body;
    *model = expect(program, MessageType::kModel).body;
    return true;
  }

  static TrainingMessage expect(TrainingProgram& program, MessageType type) {
    TrainingMessage message = program.receive();
    if (message.type != type) {
      throw SqlError(ERRCODE_PROTOCOL_VIOLATION, "the training process does not speak as expected", {},
                     kOtherProgram);
    }
    return message;
  }

  std::string program_config() const {
    Json config = Json::object({{"features", features_}, {"types", types_}, {"spool_directory", kSpoolDirectory}});
    for (const char* key : {"params", "num_boost_round", "early_stopping_rounds", "search", "trials", "seed", "threads"}) {
      config[key] = config_[key];
    }
    return config.dump();
  }

  // ---------------------------------------------------------------- reading

  bool from_table() const { return !config_["rel"].is_null(); }

  void check_features(const std::vector<FeatureInfo>& features) const {
    bool same = features.size() == features_.size();
    for (size_t i = 0; same && i < features.size(); ++i) same = features[i].name == features_[i];
    if (!same) {
      throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the feature set was changed since the run was asked for",
                     "It has other features, or another order of them, than the run was asked for.",
                     "Ask for the run again: fraud.train.");
    }
  }

  template <typename Block, typename Stream>
  void read_stream(TrainingProgram& program, Stream& stream, Digest& digest) {
    Block block;
    while (stream.next(&block)) send_block(program, block, digest);
  }

  void read_rows(TrainingProgram& program) {
    const Period &train = periods_.train, &validation = periods_.validation, &test = periods_.test;
    leaks_.emplace(features_.size());
    Digest digest;
    {
      // With the rights of who asked for the run.
      RestrictedScope restricted(user_);
      if (from_table()) {
        apply_settings(config_["settings"]);
        QueryStream stream(config_["definition"]["query"].text(), features_.size(), train.from, periods_.end());
        read_stream<QueryBlock>(program, stream, digest);
      } else {
        FeatureStream stream(config_["feature_set"].text(), train.from, periods_.end());
        check_features(stream.features());
        read_stream<FeatureBlock>(program, stream, digest);
      }
    }
    std::string sum = digest.end();
    check_rows("training", train);
    if (validation.given()) check_rows("validation", validation);
    for (const LeakFinder::Leak& leak : leaks_->find()) {
      char auc[16];
      snprintf(auc, sizeof(auc), "%.4f", leak.auc);
      warnings_.push_back("feature \"" + features_[leak.feature] + "\" alone separates the labels (AUC " + auc +
                          "): it may hold what is known only after the event");
    }
    leaks_.reset();
    Spi spi;
    auto optional = [](const Period& period, int64_t value) {
      return period.given() ? int8_param(value) : null_param();
    };
    spi.run(note_rows, {int8_param(run_), int8_param(train.rows), int8_param(train.frauds),
                        optional(validation, validation.rows), optional(validation, validation.frauds),
                        optional(test, test.rows), optional(test, test.frauds), bytea_param(sum)});
    program.send(MessageType::kData, periods_.ranges().dump());
  }

  // Refuses a period without labelled rows, and says which there are.
  void check_rows(const char* name, const Period& period) const {
    if (period.rows > 0) return;
    auto text = [](TimestampTz time) {
      const char* written = protect([&] { return timestamptz_to_str(time); });
      return std::string(written);
    };
    const std::string which = std::string("the ") + name + " period, from " + text(period.from) + " to " + text(period.to) + ",";
    std::optional<TimestampTz> first, last;
    int64_t within = 0;
    {
      RestrictedScope restricted(user_);
      if (from_table()) {
        apply_settings(config_["settings"]);
        Spi spi;
        KeptPlan plan;
        plan.prepare(config_["definition"]["times"].text(), {TIMESTAMPTZOID, TIMESTAMPTZOID});
        const Datum values[] = {TimestampTzGetDatum(period.from), TimestampTzGetDatum(period.to)};
        plan.run(values, nullptr, true);
        if (std::optional<Datum> value = spi.datum(0, 1)) first = DatumGetTimestampTz(*value);
        if (std::optional<Datum> value = spi.datum(0, 2)) last = DatumGetTimestampTz(*value);
        within = spi.integer(0, 3).value_or(0);
      } else {
        // An expression of the set's is its definer's code, and not for the rights of who trains.
        const std::shared_ptr<const FeatureSet> set = find_feature_set(config_["feature_set"].text(), true);
        check_may_read(*set);
        const EventsPeriod events = events_period(*set, period.from, period.to);
        first = events.first;
        last = events.last;
        within = events.within;
      }
    }
    if (within > 0) {
      throw SqlError(ERRCODE_NO_DATA_FOUND, "no row of " + which + " has a label",
                     "It has " + std::to_string(within) + " rows, of which none is labelled, or known to be by now.",
                     "A label counts from when it is known: label_known_at, or label_delay after the event.");
    }
    throw SqlError(ERRCODE_NO_DATA_FOUND, which + " has no rows",
                   first ? "There are some from " + text(*first) + " to " + text(*last) + "." : "There are none at all.",
                   first ? "Give a period that has some." : "");
  }

  // Sends the training and validation rows of a block, and keeps those of the test.
  template <typename Block>
  void send_block(TrainingProgram& program, const Block& block, Digest& digest) {
    size_t width = features_.size();
    std::vector<float> labels, values, all;  // of all: labels and values as they are digested
    all.reserve(block.rows * (width + 1));
    for (size_t i = 0; i < block.rows; ++i) {
      float label = block.labels[i];
      if (std::isnan(label)) continue;
      const float* row = block.features + i * width;
      all.push_back(label);
      all.insert(all.end(), row, row + width);
      const RowUse use = periods_.add(block.times[i], label);
      if (use == RowUse::kTest) test_rows_.add(label, row, width);
      if (use != RowUse::kTraining) continue;
      leaks_->add(label != 0, row);
      labels.push_back(label);
      values.insert(values.end(), row, row + width);
    }
    digest.add(all.data(), all.size() * sizeof(float));
    progress_.rows_read += static_cast<int64_t>(block.rows);
    check_limits();
    set_training_progress(slot_, progress_);
    if (labels.empty()) return;
    BlockHeader header = {static_cast<uint32_t>(labels.size())};
    std::string body(reinterpret_cast<const char*>(&header), sizeof(header));
    body.append(reinterpret_cast<const char*>(labels.data()), labels.size() * sizeof(float));
    body.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    program.send(MessageType::kBlock, body);
  }

  // Refuses what will not fit, before the memory is taken.
  void check_limits() const {
    if (progress_.rows_read > guc_train_max_rows) {
      throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                     "more rows than fraud_detect.train_max_rows (" + std::to_string(guc_train_max_rows) + ")", {},
                     "Train on a shorter period, or raise the setting.");
    }
    // A bin index and its place in the other layout for each value; gradients,
    // predictions and row sets for each row; the library itself.
    const int64_t kept = periods_.train.rows + periods_.validation.rows;
    double rows = static_cast<double>(kept);
    double needed = rows * (static_cast<double>(features_.size()) * 6 + 40) + 32 * 1048576.0;
    double limit = static_cast<double>(guc_train_memory_mb) * 1048576;
    if (needed > limit) {
      throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                     "training would need about " + format_bytes(needed) + " for the " +
                         std::to_string(kept) +
                         " rows read so far, more than fraud_detect.train_memory (" + format_bytes(limit) + ")",
                     {}, "Train on fewer rows or features, or raise the setting.");
    }
  }

  // --------------------------------------------------------------- progress

  void set_phase(const char* phase) {
    if (strcmp(progress_.phase, phase) != 0) {
      strlcpy(progress_.phase, phase, sizeof(progress_.phase));
      progress_.phase_since = GetCurrentTimestamp();
    }
    pgstat_report_activity(STATE_RUNNING, phase);
    set_training_progress(slot_, progress_);
  }

  void take_progress(const Json& told) {
    const auto count = [&](const char* name) { return static_cast<int>(told[name].integer()); };
    const int trial = count("trial"), fold = count("fold");
    if (trial != progress_.trial || fold != progress_.fold) progress_.phase[0] = '\0';
    progress_.trial = trial;
    progress_.trials = count("trials");
    progress_.fold = fold;
    progress_.folds = count("folds");
    progress_.round = count("round");
    progress_.rounds = count("rounds");
    progress_.metric = told.contains("metric") ? told["metric"].number() : std::nan("");
    strlcpy(progress_.metric_name, told["metric_name"].text().c_str(), sizeof(progress_.metric_name));
    set_phase(told["phase"].text().c_str());
  }

  // ---------------------------------------------------------------- the end

  // Scores the test rows as the extension will, and measures that.
  std::string test(const std::string& bytes) {
    Forest forest = read_model(bytes);
    if (!periods_.test.given()) return {};
    std::vector<Outcome> outcomes;
    outcomes.reserve(static_cast<size_t>(periods_.test.rows));
    test_rows_.each(features_.size(), [&](float label, const float* row) {
      outcomes.push_back({static_cast<double>(forest.score(row)), label != 0});
    });
    Ranking ranking(std::move(outcomes));
    AlertQuality at = ranking.at_alert_rate(0.01);
    const Json measures = Json::object({{"auc_roc", finite(ranking.auc_roc())},
                     {"average_precision", finite(ranking.average_precision())},
                     {"log_loss", finite(ranking.log_loss())},
                     {"brier", finite(ranking.brier())},
                     {"precision_at_1pct", finite(at.precision)},
                     {"recall_at_1pct", finite(at.recall)}});
    return measures.dump();
  }

  void store(const std::string& model, const std::string& summary, const std::string& measures) {
    Spi spi;
    std::string name = config_["model"].text();
    std::string description = config_["description"].text();
    spi.run(import_model, {text_param(name), bytea_param(model), optional_text_param(description), int8_param(run_)});
    auto version = static_cast<int32_t>(*spi.integer(0, 1));
    spi.run(succeed, {int8_param(run_), int4_param(version), text_param(summary), optional_text_param(measures),
                      float8_param(cpu_seconds()), warnings()});
    spi.run(leave_queue, {int8_param(run_)});
  }

  SqlValue warnings() const {
    if (warnings_.empty()) return null_param();
    Column column(TEXTOID);
    for (const std::string& warning : warnings_) column.add(text_param(warning));
    return column.array();
  }

  int slot_;
  int64_t run_;
  std::optional<LeakFinder> leaks_;
  std::vector<std::string> warnings_;
  TrainingProgress progress_;
  Json config_;
  std::vector<std::string> features_, types_;
  Oid user_ = InvalidOid;
  Periods periods_;
  TestRows test_rows_;
};

void run(int slot) {
  int64 run = 0;
  protect([&] {
    begin_worker();
    Oid database = InvalidOid;
    register_training_worker(slot, &database, &run);
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
  });
  TrainingWorker worker(slot, run);
  worker.run();
}

}  // namespace

}  // namespace fraud::worker

void fraud_detect_training_worker_main(Datum argument) {
  int slot = DatumGetInt32(argument);
  fraud::pg::guarded([&] { fraud::worker::run(slot); });
}
