// The training program: reads messages from its standard input, which is a socket
// to the training worker, answers on it, and ends. It holds no lock and touches
// nothing of the server, so it can be killed at any moment.
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>

#include "train/allocations.h"
#include "train/protocol.h"
#include "train/trainer.h"

namespace {

using fraud::MessageHeader;
using fraud::MessageType;
using nlohmann::json;

constexpr int kSocket = STDIN_FILENO;

// Ends the program when the worker is gone: nobody is left to be told.
void read_all(void* room, size_t bytes) {
  char* to = static_cast<char*>(room);
  while (bytes > 0) {
    const ssize_t count = read(kSocket, to, bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) _exit(2);
    to += count;
    bytes -= static_cast<size_t>(count);
  }
}

void send_all(const void* from, size_t bytes) {
  const char* data = static_cast<const char*>(from);
  while (bytes > 0) {
    const ssize_t count = send(kSocket, data, bytes, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) _exit(2);
    data += count;
    bytes -= static_cast<size_t>(count);
  }
}

void send_message(MessageType type, const std::string& body) {
  const MessageHeader header = {static_cast<uint32_t>(body.size()), type, {}};
  send_all(&header, sizeof header);
  send_all(body.data(), body.size());
}

void send_message(MessageType type, const json& body) {
  send_message(type, body.dump(-1, ' ', false, json::error_handler_t::replace));
}

MessageType read_message(std::string* body) {
  MessageHeader header;
  read_all(&header, sizeof header);
  if (header.bytes > fraud::kMaxMessageBytes) throw std::runtime_error("message too long");
  body->resize(header.bytes);
  read_all(body->data(), body->size());
  return header.type;
}

// Returns the most memory that this program has had, in kB.
long peak_memory_kb() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stol(line.substr(6));
  }
  return 0;
}

void append(fraud::Spool& spool, const std::string& body) {
  fraud::BlockHeader header{};
  if (body.size() < sizeof header) throw std::runtime_error("block too short");
  body.copy(reinterpret_cast<char*>(&header), sizeof header);
  const size_t expected = sizeof header + header.rows * sizeof(float) * (1 + spool.columns());
  if (body.size() != expected) throw std::runtime_error("block of a wrong length");
  const auto* labels = reinterpret_cast<const float*>(body.data() + sizeof header);
  spool.append(labels + header.rows, labels, header.rows);
}

void run() {
  std::string body;
  if (read_message(&body) != MessageType::kConfig) throw std::runtime_error("expected a config");
  const fraud::TrainingConfig config = fraud::read_training_config(body);
  fraud::Trainer trainer(config);
  fraud::Spool spool(config.spool_directory, config.features.size());
  send_message(MessageType::kReady, trainer.sample_model());
  MessageType type;
  while ((type = read_message(&body)) == MessageType::kBlock) append(spool, body);
  if (type != MessageType::kData) throw std::runtime_error("expected the row ranges");
  const fraud::RowRanges ranges = fraud::read_row_ranges(body);
  body = {};
  spool.finish();
  json summary;
  const std::string model = trainer.run(
      spool, ranges, [](const json& progress) { send_message(MessageType::kProgress, progress); },
      [](const json& trial) { send_message(MessageType::kTrial, trial); }, &summary);
  summary["peak_memory_kb"] = peak_memory_kb();
  send_message(MessageType::kDone, summary);
  send_message(MessageType::kModel, model);
}

}  // namespace

int main() {
  int type = 0;
  socklen_t length = sizeof type;
  if (getsockopt(kSocket, SOL_SOCKET, SO_TYPE, &type, &length) != 0) {
    std::fprintf(stderr, "fraud_detect_train is run by the server, for fraud.train\n");
    return 2;
  }
  try {
    run();
    return 0;
  } catch (const std::bad_alloc&) {
    send_message(MessageType::kError, json{{"message", "out of memory"}, {"memory", true}});
  } catch (const std::exception& error) {
    send_message(MessageType::kError, json{{"message", error.what()}, {"memory", fraud::allocation_failed()}});
  }
  return 1;
}
