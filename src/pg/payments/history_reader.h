// From the rows of a table in the layout of a history to payments.
#pragma once

#include "core/payments/payment.h"

#include <string>
#include <vector>

#include "pg/server/server.h"
#include "pg/server/spi.h"

namespace fraud::pg {

// One column of the history that is read.
struct HistoryField {
  std::string name;
  std::string expression;  // of the row h, as text
};

// Returns the relation's columns that payments have, each with the expression
// that gives its text in the form that the payment reader takes.
std::vector<HistoryField> history_fields(Oid relation);

// What a query that reads the history is made of.
struct HistoryQuery {
  std::string select;     // "SELECT … FROM relation h"
  std::string card, time; // what to sort by
  std::string from_time;  // a condition: from the time $1 on; empty where the column's type has no times
};

// Returns it, or says which columns the relation lacks.
HistoryQuery history_query(Oid relation, const std::vector<HistoryField>& fields);

// Begins a level of settings in which values are read in one way, whatever the session's settings; returns it.
int begin_reading_history();

// Refuses a negative one: a label is not known before its payment was made.
void check_label_delay(const Interval& delay);

// Returns the relation's name with its schema.
std::string relation_name(Oid relation);

// Reads one row of the history into the batch; returns its card's number or
// token as it stands there.
std::string read_history_row(const Spi& spi, uint64_t row, const std::vector<HistoryField>& fields, PaymentBatch& batch);

}  // namespace fraud::pg
