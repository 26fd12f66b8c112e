#include "train/spool.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace fraud {
namespace {

[[noreturn]] void fail(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

}  // namespace

Spool::Spool(const std::string& directory, size_t columns) : columns_(columns) {
  // Were the program to die before the next call, the server would remove the file
  // by its name when it starts.
  std::string name = directory + "/pgsql_tmp_fraud_detect.XXXXXX";
  file_ = mkstemp(name.data());
  if (file_ < 0) fail("could not make a temporary file");
  unlink(name.c_str());
}

Spool::~Spool() {
  if (values_ != nullptr) munmap(const_cast<float*>(values_), rows() * columns_ * sizeof(float));
  if (file_ >= 0) close(file_);
}

void Spool::append(const float* values, const float* labels, size_t rows) {
  labels_.insert(labels_.end(), labels, labels + rows);
  const char* bytes = reinterpret_cast<const char*>(values);
  size_t left = rows * columns_ * sizeof(float);
  while (left > 0) {
    const ssize_t written = write(file_, bytes, left);
    if (written < 0) {
      if (errno == EINTR) continue;
      fail("could not write a temporary file");
    }
    bytes += written;
    left -= static_cast<size_t>(written);
  }
}

void Spool::finish() {
  const size_t bytes = rows() * columns_ * sizeof(float);
  if (bytes == 0) return;
  void* map = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file_, 0);
  if (map == MAP_FAILED) fail("could not map a temporary file");
  values_ = static_cast<const float*>(map);
}

void Spool::forget(size_t begin, size_t end) const noexcept {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t row = columns_ * sizeof(float);
  const size_t first = (begin * row + page - 1) / page * page;
  const size_t last = end * row / page * page;
  if (first >= last) return;
  madvise(reinterpret_cast<char*>(const_cast<float*>(values_)) + first, last - first, MADV_DONTNEED);
}

}  // namespace fraud
