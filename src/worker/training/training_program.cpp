#include "worker/training/training_program.h"

#include "core/base/json.h"

#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pg/server/boundary.h"

extern "C" {
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
}

namespace fraud::worker {

using namespace fraud::pg;

namespace {

// The child of this process, for its exit by a FATAL, which unwinds nothing.
pid_t child = 0;

void kill_child(int, Datum) {
  if (child == 0) return;
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  child = 0;
}

std::string program_path() { return std::string(pkglib_path) + "/fraud_detect_train"; }

// In the child, between fork and exec.
[[noreturn]] void become_program(const char* path, int socket, pid_t parent, int64_t max_bytes) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(2);
  for (int number : {SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD}) {
    signal(number, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  rlimit limit{};
  limit.rlim_cur = limit.rlim_max = static_cast<rlim_t>(max_bytes);
  setrlimit(RLIMIT_DATA, &limit);
  // If memory runs out, this process goes and not the server.
  int score = open("/proc/self/oom_score_adj", O_WRONLY);
  if (score >= 0) {
    (void)!write(score, "1000", 4);
    close(score);
  }
  // OpenMP's threads wait by sleeping, not by turning: the cores are the server's too,
  // and where they are all busy turning made training five times slower.
  setenv("OMP_WAIT_POLICY", "PASSIVE", 0);
  dup2(socket, STDIN_FILENO);
  dup2(STDERR_FILENO, STDOUT_FILENO);
#ifdef SYS_close_range
  if (syscall(SYS_close_range, 3U, ~0U, 0U) != 0)
#endif
    for (int i = 3; i < 4096; ++i) close(i);
  char* arguments[] = {const_cast<char*>("fraud_detect_train"), nullptr};
  execv(path, arguments);
  _exit(127);
}

}  // namespace

constexpr char kRoomHint[] =
    "Give the server's user more of what the reason names (processes, open files, memory), and ask for the run again.";

TrainingProgram::TrainingProgram(int64_t max_bytes) {
  std::string path = program_path();
  if (access(path.c_str(), X_OK) != 0) {
    throw SqlError(ERRCODE_FEATURE_NOT_SUPPORTED, "the training program is not installed", {},
                   "Install libxgboost-dev, then build and install the extension again.");
  }
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw SqlError(ERRCODE_SYSTEM_ERROR, std::string("could not make a socket: ") + strerror(errno), {}, kRoomHint);
  }
  static bool registered = false;
  if (!registered) {
    protect([] { before_shmem_exit(kill_child, (Datum)0); });
    registered = true;
  }
  const char* program = path.c_str();
  pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) become_program(program, ends[1], parent, max_bytes);
  int error = errno;
  close(ends[1]);
  socket_ = ends[0];
  if (pid_ < 0) {
    pid_ = 0;
    close(socket_);
    socket_ = -1;
    throw SqlError(ERRCODE_SYSTEM_ERROR, std::string("could not start the training program: ") + strerror(error), {}, kRoomHint);
  }
  child = pid_;
  fcntl(socket_, F_SETFL, O_NONBLOCK);
}

TrainingProgram::~TrainingProgram() noexcept {
  if (socket_ >= 0) close(socket_);
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  child = 0;
}

void TrainingProgram::throw_ended() {
  // What it said last is more than how it ended.
  TrainingMessage last;
  while (next_message(&last)) {
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = 0;
  child = 0;
  std::string how;
  if (WIFSIGNALED(status)) {
    how = "was ended by signal " + std::to_string(WTERMSIG(status)) + " (" + strsignal(WTERMSIG(status)) + ")";
  } else if (WEXITSTATUS(status) == 127) {
    how = "could not be run";
  } else {
    how = "ended with exit code " + std::to_string(WEXITSTATUS(status));
  }
  throw SqlError(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION, "the training process " + how, {},
                 "The server's log may say more; fraud_detect.train_memory bounds its memory.");
}

void TrainingProgram::take_input() {
  char buffer[65536];
  for (;;) {
    ssize_t count = recv(socket_, buffer, sizeof(buffer), 0);
    if (count > 0) {
      input_.append(buffer, static_cast<size_t>(count));
    } else if (count < 0 && errno == EINTR) {
      continue;
    } else if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return;
    } else {
      ended_ = true;
      return;
    }
  }
}

// Takes a message from what has come; throws what an error message says.
bool TrainingProgram::next_message(TrainingMessage* message) {
  MessageHeader header;
  if (input_.size() < sizeof(header)) return false;
  memcpy(&header, input_.data(), sizeof(header));
  if (header.bytes > kMaxMessageBytes) {
    throw SqlError(ERRCODE_PROTOCOL_VIOLATION, "the training process does not speak as expected", {},
                   kOtherProgram);
  }
  if (input_.size() < sizeof(header) + header.bytes) return false;
  message->type = header.type;
  message->body = input_.substr(sizeof(header), header.bytes);
  input_.erase(0, sizeof(header) + header.bytes);
  if (message->type != MessageType::kError) return true;
  const Json error = Json::parse(message->body);
  if (error["memory"].boolean()) {
    throw SqlError(ERRCODE_OUT_OF_MEMORY, "training needs more than fraud_detect.train_memory", {},
                   "Train on fewer rows or features, or raise the setting.");
  }
  std::string text = error["message"].text();
  // XGBoost's text comes with a time, a place in its source and a stack trace.
  if (size_t trace = text.find("\nStack trace"); trace != std::string::npos) text.resize(trace);
  if (size_t place = text.find(": "); text[0] == '[' && place != std::string::npos) text.erase(0, place + 2);
  while (!text.empty() && isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, text);
}

void TrainingProgram::wait(bool for_room) {
  int descriptor = socket_;
  protect([&] {
    (void)WaitLatchOrSocket(MyLatch,
                            WL_LATCH_SET | WL_SOCKET_READABLE | WL_EXIT_ON_PM_DEATH |
                                (for_room ? WL_SOCKET_WRITEABLE : 0),
                            descriptor, -1, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  });
}

void TrainingProgram::send(MessageType type, std::string_view body) {
  MessageHeader header = {static_cast<uint32_t>(body.size()), type, {}};
  std::string_view head(reinterpret_cast<const char*>(&header), sizeof(header));
  for (std::string_view part : {head, body}) {
    while (!part.empty()) {
      ssize_t count = ::send(socket_, part.data(), part.size(), MSG_NOSIGNAL);
      if (count >= 0) {
        part.remove_prefix(static_cast<size_t>(count));
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        wait(true);
        take_input();
        if (ended_) throw_ended();
      } else if (errno != EINTR) {
        take_input();
        throw_ended();
      }
    }
  }
  protect([] { CHECK_FOR_INTERRUPTS(); });
}

TrainingMessage TrainingProgram::receive() {
  TrainingMessage message;
  while (!next_message(&message)) {
    if (ended_) throw_ended();
    wait(false);
    take_input();
  }
  return message;
}

}  // namespace fraud::worker
