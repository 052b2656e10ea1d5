// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/delta/text_report.h"

#include <algorithm>
#include <cstdio>

namespace desk {

namespace {

    template <class... Values>
    std::string format(const char* pattern, Values... values)
    {
        const int length = std::snprintf(nullptr, 0, pattern, values...);
        std::string text(static_cast<std::size_t>(length) + 1, '\0');
        std::snprintf(text.data(), text.size(), pattern, values...);
        text.pop_back();
        return text;
    }
    std::string bytesText(std::uint64_t bytes)
    {
        const auto value = static_cast<double>(bytes);
        if (bytes < 10'000)
            return std::to_string(bytes) + " B";
        if (bytes < 10'000'000)
            return format("%.1f kB", value / 1e3);
        return bytes < 10'000'000'000 ? format("%.1f MB", value / 1e6)
                                      : format("%.2f GB", value / 1e9);
    }
    std::string shapeWords(const TensorInfo& info)
    {
        std::string text = toString(info.dtype);
        text += " [";
        for (std::size_t i = 0; i < info.shape.size(); ++i)
            text += (i == 0 ? "" : ",") + std::to_string(info.shape[i]);
        return text + "]";
    }
    std::string stagesText(const std::vector<StageThroughput>& stages)
    {
        std::string text;
        const StageThroughput* slowest = nullptr;
        for (const auto& stage : stages) {
            text += format("  %-10s %7.2f GB/s  %.3f s\n", stage.stage.c_str(),
                stage.bytesPerSecond() / 1e9, stage.seconds);
            if (slowest == nullptr || stage.seconds > slowest->seconds)
                slowest = &stage;
        }
        return slowest == nullptr ? text : text + "  limited by " + slowest->stage + "\n";
    }
    std::string rowText(const TensorRow& row)
    {
        std::string change = "not compared";
        if (row.elements == 0)
            change = "0 elements, changed –";
        else if (!row.checksum.empty())
            change = format("%llu of %llu elements changed (%.4f %%)",
                static_cast<unsigned long long>(row.changed),
                static_cast<unsigned long long>(row.elements),
                row.changedFraction.value_or(0) * 100);
        return format("  %-11s %s  %s  %s%s%s\n", toString(row.status), row.name.c_str(),
            toString(row.dtype), change.c_str(), row.note.empty() ? "" : "; ", row.note.c_str());
    }

} // namespace

std::string toText(const DeltaReport& report, const std::string& output)
{
    return format(
               "%s: %llu tensors, %s new from %s of delta (%.1f x), %.4f %% of elements changed\n",
               output.c_str(), static_cast<unsigned long long>(report.tensors),
               bytesText(report.bytesNew).c_str(), bytesText(report.bytesDelta).c_str(),
               report.ratio, report.changedFraction * 100)
        + format("%.3f s on %s, %s\n", report.seconds, report.device.c_str(), report.kernel.c_str())
        + stagesText(report.stages);
}

std::string toText(const VerifyReport& report, bool isComparison)
{
    const auto& counts = report.counts;
    std::string text = std::string(toString(report.verdict))
        + format(": %llu of %llu tensors are %s", static_cast<unsigned long long>(counts.exact),
            static_cast<unsigned long long>(counts.total), isComparison ? "equal" : "exact");
    for (const auto& [count, word] :
        { std::pair(counts.mismatch, "differ"), std::pair(counts.missing, "missing"),
            std::pair(counts.extra, "extra"), std::pair(counts.notChecked, "not checked") })
        if (count > 0)
            text += format(", %llu %s", static_cast<unsigned long long>(count), word);
    text += format("; %.4f %% of elements changed\n", report.changedFraction * 100);
    if (const auto& first = report.firstMismatch) {
        text += "first difference: " + first->tensor;
        if (first->element)
            text += format(", element %llu, byte %llu",
                static_cast<unsigned long long>(*first->element),
                static_cast<unsigned long long>(first->byteOffset.value_or(0)));
        text += ": expected " + first->expected + ", found " + first->found + "\n";
    }
    for (const auto& row : report.rows)
        text += rowText(row);
    if (report.bytesDelta > 0)
        text += format("delta %s for %s of weights: %.1f x\n", bytesText(report.bytesDelta).c_str(),
            bytesText(report.bytesNew).c_str(), report.ratio);
    return text
        + format("%s in %.3f s on %s, %s\n", bytesText(report.bytes).c_str(), report.seconds,
            report.device.c_str(), report.kernel.c_str())
        + stagesText(report.stages);
}

std::string toText(const InspectReport& report)
{
    std::string text = report.realPath.string() + ": " + report.kind + ", " + report.format
        + format(", %zu tensors, %s\n", report.tensors.size(), bytesText(report.bytes).c_str());
    for (const auto& tensor : report.tensors) {
        text += "  " + tensor.info.name + "  " + shapeWords(tensor.info) + "  "
            + (tensor.info.elementCount() == 0 ? std::string("0 elements")
                                               : bytesText(tensor.info.byteCount()));
        if (tensor.min && tensor.max && tensor.mean && tensor.rms)
            text += format("  min %g  max %g  mean %g  rms %g", *tensor.min, *tensor.max,
                *tensor.mean, *tensor.rms);
        if (tensor.nonFinite.value_or(0) > 0)
            text += format("  %llu not finite", static_cast<unsigned long long>(*tensor.nonFinite));
        text += (tensor.checksum.empty() ? "" : "  Adler-32 " + tensor.checksum) + "\n";
    }
    for (const auto& problem : report.problems)
        text += "problem: " + problem.message + "\n";
    return text;
}

std::string toText(const Error& error)
{
    std::string text = error.message;
    for (const auto* part : { &error.unchanged, &error.next })
        if (!part->empty())
            text += "; " + *part;
    return text;
}

} // namespace desk
