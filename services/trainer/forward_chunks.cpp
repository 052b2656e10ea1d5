// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/trainer/forward_chunks.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

namespace desk {
namespace {

    constexpr std::size_t kMaxDatumsPerChunk = 1024;
    constexpr std::size_t kMaxChunkBytes = 5'000'000;
    constexpr std::size_t kBytesPerElement = 10;

    std::size_t estimatedBytes(const Datum& datum)
    {
        auto elements = datum.tokens.size();
        for (const auto& [name, tensor] : datum.lossInputs)
            elements += tensor.ints.size() + tensor.floats.size();
        return elements * kBytesPerElement;
    }

    std::optional<double> reduced(const std::string& key, const std::vector<ForwardResult>& parts)
    {
        const auto colon = key.find(':');
        const auto reduction = colon == std::string::npos ? key : key.substr(colon + 1);
        std::optional<double> value;
        double weight = 0;
        for (const auto& part : parts) {
            const auto found = part.metrics.find(key);
            if (found == part.metrics.end())
                return std::nullopt;
            const auto count = static_cast<double>(part.outputs.size());
            const bool isFirst = !value;
            if (reduction == "sum")
                value = value.value_or(0) + found->second;
            else if (reduction == "mean")
                value = value.value_or(0) + found->second * count;
            else if (reduction == "min")
                value = isFirst ? found->second : std::min(*value, found->second);
            else if (reduction == "max")
                value = isFirst ? found->second : std::max(*value, found->second);
            else
                return std::nullopt;
            weight += count;
        }
        if (reduction == "mean" && value)
            return weight > 0 ? std::optional<double>(*value / weight) : std::nullopt;
        return value;
    }

} // namespace

std::vector<std::vector<Datum>> chunked(std::vector<Datum> data)
{
    std::vector<std::vector<Datum>> chunks;
    std::size_t bytes = 0;
    for (auto& datum : data) {
        const auto size = estimatedBytes(datum);
        if (chunks.empty() || chunks.back().size() == kMaxDatumsPerChunk
            || bytes + size > kMaxChunkBytes) {
            chunks.emplace_back();
            bytes = 0;
        }
        bytes += size;
        chunks.back().push_back(std::move(datum));
    }
    return chunks;
}

ForwardResult merged(std::vector<ForwardResult> parts)
{
    if (parts.size() == 1)
        return std::move(parts.front());
    ForwardResult result;
    if (parts.empty())
        return result;
    result.outputType = parts.front().outputType;
    for (const auto& metric : parts.front().metrics) {
        if (const auto value = reduced(metric.first, parts))
            result.metrics[metric.first] = *value;
    }
    for (auto& part : parts)
        std::move(part.outputs.begin(), part.outputs.end(), std::back_inserter(result.outputs));
    return result;
}

} // namespace desk
