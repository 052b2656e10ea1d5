// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"
#include "services/core/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Lines that a training loop writes and reads: its ledger in the shape of a tinker-cookbook run
// (runs.md section 1.11), and the examples of a data file. THREAD: any.

namespace desk {

struct LedgerRow
{
    std::int64_t step = 0;
    std::vector<std::pair<std::string, double>> metrics; ///< flat names, in the order written
    Time at {};
};
/// {"step":…,<metrics>,"timestamp":"…"} without a line end; non-finite values as texts.
[[nodiscard]] std::string encodeLedgerRow(const LedgerRow& row);
/// `step` of a line; nullopt when the line is no JSON object or has none.
[[nodiscard]] std::optional<std::int64_t> ledgerStepOf(std::string_view line);

/// One line of a JSON Lines data file: `prompt` and `completion`, `messages` with `role` and
/// `content`, or `text`; and a number `weight` or `advantage` if it counts otherwise than once.
struct TrainingExample
{
    struct Part
    {
        std::string text;
        bool isTrained = false; ///< loss is taken on it
    };
    std::vector<Part> parts;
    double weight = 1; ///< of its trained tokens; below 0: less of it
};
/// At most 4 MiB. Messages are written "<role>: <content>" on lines of their own; the loss is
/// taken on what the assistant says. Errors: Malformed, with the reason.
[[nodiscard]] Result<TrainingExample> decodeTrainingExample(std::string_view line);

} // namespace desk
