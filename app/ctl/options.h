// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace desk {

/// The command line, read (cli.md section 5). Only the fields of the verb are set.
struct CtlOptions
{
    bool isJson = false;
    bool isJsonProgress = false;
    std::string connection;
    std::string keyFile;
    std::string profile;

    std::string verb; ///< "jobs list", "promote", …
    std::vector<std::string> names; ///< positional arguments
    std::string job;
    std::string checkpoint;
    std::string kind;
    std::string name;
    std::optional<std::int64_t> ttlSeconds;
    std::string lifetime; ///< of `checkpoints extend`: seconds, or never
    std::string hotLoadDeployment; ///< deprecated argument of `promote`
    std::string from; ///< of `resume-ref`
    std::string modelId;
    std::string baseModel;
    int loraRank = 0;
    std::string deployment;
    std::string model;
    int replicas = 1;
    bool isFull = false;
    std::string resetPromptCache;
    std::optional<int> timeoutSeconds;
    bool noWait = false;
    bool isDryRun = false;
    bool shouldWait = false;
    bool isSample = false;
    bool isDetached = false;
    bool isContinued = false;
    std::string runDir;
    std::vector<std::string> series;
    bool withPoints = false;
    std::int64_t maxTokens = 64;
    std::optional<std::int64_t> seed;
    std::string data; ///< rehearse: data folder of the local backend
    std::vector<std::string> standIns; ///< rehearse: NAME=VOCABULARY
    std::string report;
};

/// --help, --version, or a command line that is wrong: what to print, and how to end.
struct CtlEnd
{
    int exitCode = 0;
    std::string text;
};

[[nodiscard]] std::variant<CtlOptions, CtlEnd> parseCtlOptions(int argc, const char* const* argv);

} // namespace desk
