// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/delta/engine.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// The JSON shapes of cli.md section 7 for weight deltas; one line, no trailing newline. Numbers
// round-trip, non-finite ones are the strings "NaN", "Infinity", "-Infinity", unknown facts null.

namespace desk {

[[nodiscard]] std::string toJson(const DeltaReport& report);
[[nodiscard]] std::string toJson(const VerifyReport& report);
[[nodiscard]] std::string toJson(const InspectReport& report);
/// {"error":{code, message, unchanged, next, request_id}}
[[nodiscard]] std::string toJson(const Error& error);
/// {"event":"progress","done":…,"total":…,"fraction":…,"bytes_per_second":…}
[[nodiscard]] std::string progressJson(
    std::uint64_t done, std::uint64_t total, double bytesPerSecond);

/// One figure of a benchmark.
struct BenchItem
{
    std::string name;
    double value = 0;
    std::string unit;
    std::string reference; ///< name of what was measured beside it
    double referenceValue = 0;
    std::optional<double> target; ///< of value / referenceValue
    bool isHigherBetter = true;
    std::string kernel;
    std::string device;
    unsigned threads = 1;
    std::string cpu;
};
[[nodiscard]] std::string toJson(const std::vector<BenchItem>& items, std::string_view asOf);

} // namespace desk
