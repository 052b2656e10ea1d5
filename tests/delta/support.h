// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// What the tests of the delta engine share: a folder that goes away, files as strings, programs,
// and weights that look trained.

#include "services/delta/engine.h"
#include "tests/support/check.h"

#include <array>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace desk::test {

namespace fs = std::filesystem;

inline const fs::path kData = fs::path(DESK_TEST_DATA) / "delta";

class TempFolder
{
public:
    TempFolder()
    {
        // In memory where that is possible: hundreds of files are fsynced here.
        const fs::path memory = "/dev/shm";
        const auto parent =
            ::access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path();
        auto pattern = (parent / "desk-delta-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr)
            throw std::runtime_error("mkdtemp failed");
        m_path = pattern;
    }
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;
    ~TempFolder()
    {
        std::error_code ignored;
        fs::remove_all(m_path, ignored);
    }
    [[nodiscard]] fs::path operator/(const std::string& name) const { return m_path / name; }
    [[nodiscard]] const fs::path& path() const { return m_path; }
    /// Names in the folder, hidden ones too.
    [[nodiscard]] std::set<std::string> names() const
    {
        std::set<std::string> found;
        for (const auto& entry : fs::directory_iterator(m_path))
            found.insert(entry.path().filename().string());
        return found;
    }

private:
    fs::path m_path;
};

inline std::string readFile(const fs::path& path)
{
    std::ifstream stream(path, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
}
inline void writeFile(const fs::path& path, std::string_view bytes)
{
    std::ofstream stream(path, std::ios::binary);
    stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// A safetensors file with this JSON and data, however wrong.
inline std::string rawFile(const std::string& json, std::size_t dataBytes)
{
    const std::uint64_t length = json.size();
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    return bytes + json + std::string(dataBytes, 'x');
}

inline std::unique_ptr<DeltaEngine> openEngine()
{
    return *openDeltaEngine(DevicePolicy::PreferCuda);
}

/// bf16 values of about 0.02, as in a trained matrix.
inline std::vector<std::uint16_t> trainedValues(std::size_t count, unsigned seed)
{
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.0F, 0.02F);
    std::vector<std::uint16_t> values(count);
    for (auto& value : values) {
        const float number = normal(random);
        std::uint32_t bits = 0;
        std::memcpy(&bits, &number, sizeof bits);
        value = static_cast<std::uint16_t>(bits >> 16);
    }
    return values;
}
/// One step later: every `every`-th value moved by one place.
inline std::vector<std::uint16_t> nextValues(std::vector<std::uint16_t> values, std::size_t every)
{
    for (std::size_t i = every / 2; i < values.size(); i += every)
        values[i] = static_cast<std::uint16_t>(values[i] ^ 1U);
    return values;
}
inline TensorView viewOf(const std::string& name, const std::vector<std::uint16_t>& values)
{
    return { name, Dtype::BF16, { values.size() }, std::as_bytes(std::span(values)) };
}
inline void writeModel(const fs::path& path, std::size_t count, unsigned seed, std::size_t every)
{
    const auto first =
        every == 0 ? trainedValues(count, seed) : nextValues(trainedValues(count, seed), every);
    const auto second = trainedValues(100, seed + 1);
    const std::array tensors { viewOf("layers.0.weight", first), viewOf("norm.weight", second) };
    CHECK(writeSafetensors(path, tensors));
}

struct ProgramResult
{
    int exitCode = -1; ///< 128 + signal if a signal ended it
    std::string output;
    std::string errors;
};

/// Runs trainerdesk-delta. fileLimit: RLIMIT_FSIZE in bytes; 0: none. onStarted may signal it.
inline ProgramResult runDelta(std::vector<std::string> arguments, rlim_t fileLimit = 0,
    const std::function<void(pid_t)>& onStarted = {},
    const std::vector<std::string>& environment = {})
{
    TempFolder folder;
    const auto outPath = (folder / "out").string();
    const auto errorPath = (folder / "err").string();
    arguments.insert(arguments.begin(), std::string(DESK_BIN_DIR) + "/trainerdesk-delta");
    const pid_t pid = ::fork();
    if (pid == 0) {
        const auto redirect = [](const std::string& path, int to) {
            return ::dup2(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), to) == to;
        };
        if (!redirect(outPath, STDOUT_FILENO) || !redirect(errorPath, STDERR_FILENO))
            ::_exit(99);
        if (fileLimit > 0) {
            const rlimit limit { fileLimit, fileLimit };
            ::setrlimit(RLIMIT_FSIZE, &limit);
        }
        for (const auto& entry : environment)
            ::putenv(const_cast<char*>(entry.c_str())); // NOLINT: putenv keeps the pointer
        std::vector<char*> argv;
        for (auto& argument : arguments)
            argv.push_back(argument.data());
        argv.push_back(nullptr);
        ::execv(argv[0], argv.data());
        ::_exit(98);
    }
    if (onStarted)
        onStarted(pid);
    int status = 0;
    ::waitpid(pid, &status, 0);
    return { WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), readFile(outPath),
        readFile(errorPath) };
}

inline bool contains(std::string_view text, std::string_view part)
{
    return text.find(part) != std::string_view::npos;
}

} // namespace desk::test
