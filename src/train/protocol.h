// What the training worker (a process of the server) and the training program (its
// child, the only process that maps XGBoost) say to each other, over one socket:
// messages of a type, a length and a body, in the machine's own byte order.
#pragma once

#include <cstdint>

namespace fraud {

enum class MessageType : uint8_t {
  // From the worker, in this order.
  kConfig = 1,  // JSON: see TrainingConfig
  kBlock = 2,   // BlockHeader, then labels, then values row after row, as float32
  kData = 3,    // JSON: see RowRanges; after the last block
  // From the program.
  kReady = 10,     // XGBoost takes the parameters: a model of made-up rows as proof
  kProgress = 11,  // JSON: phase, trial, trials, fold, folds, round, rounds, metric
  kTrial = 12,     // JSON: trial, fold, params, metric, best_round
  kDone = 13,      // JSON: what the run was; the model follows
  kModel = 14,     // XGBoost's file, as UBJSON
  kError = 15,     // JSON: message; nothing follows
};

struct MessageHeader {
  uint32_t bytes;  // of the body
  MessageType type;
  uint8_t unused[3];
};

struct BlockHeader {
  uint32_t rows;
};

// No message is longer (a model is at most 256 MiB).
constexpr uint32_t kMaxMessageBytes = uint32_t{300} << 20;

}  // namespace fraud
