// Runs a fuzz target over the files of the given folders, each whole, cut short
// at many places and with single bytes changed: what `make check` does in place
// of fuzzing. The same inputs on every run.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

void run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

}  // namespace

int main(int argc, char** argv) {
  size_t files = 0;
  size_t inputs = 0;
  std::mt19937 random(1);
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      if (!entry.is_regular_file() || entry.file_size() > 200000) continue;
      std::ifstream stream(entry.path(), std::ios::binary);
      std::string input{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
      run(input);
      ++files;
      ++inputs;
      for (int turn = 0; turn < 40 && !input.empty(); ++turn) {
        run(input.substr(0, random() % input.size()));
        std::string changed = input;
        changed[random() % changed.size()] = static_cast<char>(random());
        run(changed);
        inputs += 2;
      }
    }
  }
  std::printf("%zu files, %zu inputs\n", files, inputs);
  return files > 0 ? 0 : 1;
}
