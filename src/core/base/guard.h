// Keeps the core free of the floors above it. While a file of src/core is
// compiled (FRAUD_CORE), a Postgres, XGBoost or libcurl header is a compile error:
// seen earlier by what it defines, seen later by the names that it must use.
#pragma once

#if defined(FRAUD_CORE)
#if defined(POSTGRES_H) || defined(C_H) || defined(PG_CONFIG_H)
#error "the core includes no Postgres header"
#endif
#if defined(XGBOOST_C_API_H_)
#error "the core includes no XGBoost header"
#endif
#if defined(CURLINC_CURL_H)
#error "the core includes no libcurl header"
#endif
#pragma GCC poison ereport palloc BoosterHandle DMatrixHandle CURLcode CURLM
#endif
