#include "pg/server/kept_plan.h"

#include <utility>

#include "pg/server/boundary.h"

namespace fraud::pg {

void KeptPlan::prepare(const std::string& sql, std::vector<Oid> types) {
  const char* text = sql.c_str();
  types_ = std::move(types);
  Oid* type_array = types_.data();
  const int count = static_cast<int>(types_.size());
  protect([&] {
    // Planned once, whatever the key: what is read is a range of an index.
    SPIPlanPtr plan = SPI_prepare_cursor(text, count, type_array, CURSOR_OPT_GENERIC_PLAN);
    if (plan == nullptr) elog(ERROR, "SPI_prepare_cursor: %s", SPI_result_code_string(SPI_result));
    if (SPI_keepplan(plan) != 0) elog(ERROR, "SPI_keepplan failed");
    plan_ = plan;
  });
}

void KeptPlan::run(const Datum* values, DestReceiver* receiver, bool read_only) {
  const Oid* type_array = types_.data();
  const int count = static_cast<int>(types_.size());
  protect([&] {
    ParamListInfo params = makeParamList(count);
    for (int i = 0; i < count; ++i) {
      params->params[i].value = values[i];
      params->params[i].isnull = false;
      params->params[i].pflags = PARAM_FLAG_CONST;
      params->params[i].ptype = type_array[i];
    }
    SPIExecuteOptions options;
    memset(&options, 0, sizeof(options));
    options.params = params;
    options.read_only = read_only;
    options.dest = receiver;
    int result = SPI_execute_plan_extended(plan_, &options);
    if (result < 0) elog(ERROR, "SPI_execute_plan_extended: %s", SPI_result_code_string(result));
  });
}

}  // namespace fraud::pg
