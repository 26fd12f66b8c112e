// The training program as seen from the training worker: a child process on a
// socket, which is killed with the worker and at its wish.
#pragma once

#include "train/protocol.h"

#include <functional>
#include <string>
#include <string_view>

namespace fraud::worker {

// What can be done where what it says is not understood.
constexpr char kOtherProgram[] = "Install the extension and its training program anew, of one version, and restart the server.";

struct TrainingMessage {
  MessageType type = MessageType::kError;
  std::string body;
};

class TrainingProgram {
 public:
  // Starts the program, with at most so many bytes of memory of its own. Throws
  // SqlError when it is not installed.
  explicit TrainingProgram(int64_t max_bytes);
  ~TrainingProgram() noexcept;  // kills it
  TrainingProgram(const TrainingProgram&) = delete;
  TrainingProgram& operator=(const TrainingProgram&) = delete;

  // Sends a message. Waits with the latch, and answers cancels (PgError). When the
  // program has ended or said why it will not go on, throws SqlError with that.
  void send(MessageType type, std::string_view body);

  // Waits for the next message in the same way; an error message is thrown.
  TrainingMessage receive();

 private:
  [[noreturn]] void throw_ended();
  void take_input();  // what has come, without waiting
  bool next_message(TrainingMessage* message);
  void wait(bool for_room);

  pid_t pid_ = 0;
  int socket_ = -1;
  bool ended_ = false;
  std::string input_;
};

}  // namespace fraud::worker
