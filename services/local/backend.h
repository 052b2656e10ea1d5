// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/faults_codec.h"
#include "services/codecs/ready_codec.h"
#include "services/core/result.h"
#include "services/local/server/http_server.h"
#include "services/local/trainer/future_table.h"
#include "services/local/trainer/trainer_limits.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace desk::local {

struct BackendConfig
{
    std::filesystem::path data;
    HttpServerConfig http;
    std::string account = "local";
    int threads = 0; ///< of the engine; 0: as many as the machine has
    std::vector<std::filesystem::path> baseModels; ///< Hugging Face folders
    std::vector<Fault> faults;
    FutureTable::Timing futures;
    TrainerLimits trainers;
    std::string version;
};

/// The embedded backend: control plane, trainers, hot load and inference on one origin, over one
/// data folder. The composition root of services/local.
class Backend
{
public:
    /// Locks the folder, mends what a crash left, and serves. Conflict: another process holds the
    /// folder. Refused: a base model that cannot be run.
    [[nodiscard]] static Result<std::unique_ptr<Backend>> start(const BackendConfig& config);
    ~Backend(); ///< stops
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    [[nodiscard]] const ReadyLine& ready() const noexcept;
    /// Drops the step in hand, closes connections. What was acknowledged is on disk already.
    void stop();

private:
    struct Parts;
    explicit Backend(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> m_parts;
};

} // namespace desk::local
