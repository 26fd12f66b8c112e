// Whole files in and out, and what the benchmarks measure with: the models' shapes
// and the rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace fraud::bench {

constexpr size_t kFeatureCount = 24;

struct Shape {
  const char* name;
  int trees;
  int depth;
  int max_bin;
};

// 256 bins are XGBoost's default, 1024 are what fraud.train uses unless told.
constexpr Shape kShapes[] = {
    {"100x4", 100, 4, 256},   {"300x6", 300, 6, 256},         {"500x6", 500, 6, 256},
    {"1000x8", 1000, 8, 256}, {"300x6-1024", 300, 6, 1024},
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) throw std::runtime_error("could not read " + path.string());
  return text.str();
}

// Writes beside the file first, so that one that was begun is never taken for a whole one.
inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  const std::filesystem::path unfinished = path.string() + ".new";
  std::ofstream file(unfinished, std::ios::binary);
  file << bytes;
  file.close();
  if (!file) throw std::runtime_error("could not write " + path.string());
  std::filesystem::rename(unfinished, path);
}

// Returns rows of kFeatureCount values, row after row, NaN being a missing value.
inline std::vector<float> read_rows(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  std::vector<float> rows(bytes.size() / sizeof(float));
  std::memcpy(rows.data(), bytes.data(), rows.size() * sizeof(float));
  return rows;
}

}  // namespace fraud::bench
