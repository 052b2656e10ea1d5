// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace desk::local {

/// Something that happened to a live model, for whoever keeps a record of a training.
struct TrainingNote
{
    enum class Kind
    {
        Opened, ///< the model exists
        Forward,
        Backward,
        Step,
        Failed ///< a future of the model ended in an error
    };
    Kind kind = Kind::Opened;
    std::string session;
    std::string model;
    std::string job; ///< bare id
    std::string baseModel;
    int loraRank = 0;
    std::int64_t tokens = 0; ///< Forward, Backward
    std::optional<double> loss; ///< Backward: per token with a gradient
    double seconds = 0; ///< that the call computed
    std::int64_t step = 0; ///< Step: optimizer steps taken
    std::string message; ///< Failed
};
/// Called on the model's thread.
using TrainingNotes = std::function<void(const TrainingNote&)>;

} // namespace desk::local
