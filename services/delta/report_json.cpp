// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/report_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace desk {

namespace {

    using Json = nlohmann::ordered_json;

    Json number(double value)
    {
        if (std::isnan(value))
            return "NaN";
        if (std::isinf(value))
            return value > 0 ? "Infinity" : "-Infinity";
        return value;
    }
    Json optionalNumber(const std::optional<double>& value)
    {
        return value ? number(*value) : Json(nullptr);
    }
    Json optionalCount(const std::optional<std::uint64_t>& value)
    {
        return value ? Json(*value) : Json(nullptr);
    }
    Json optionalText(const std::string& text)
    {
        return text.empty() ? Json(nullptr) : Json(text);
    }
    std::string oneLine(const Json& json)
    {
        // Names come from files: what is not UTF-8 is replaced, never thrown.
        return json.dump(-1, ' ', false, Json::error_handler_t::replace);
    }

    Json stagesJson(const std::vector<StageThroughput>& stages)
    {
        Json list = Json::array();
        for (const auto& stage : stages)
            list.push_back({ { "stage", stage.stage }, { "bytes", stage.bytes },
                { "seconds", number(stage.seconds) },
                { "bytes_per_second", number(stage.bytesPerSecond()) } });
        return list;
    }

    Json rowJson(const TensorRow& row)
    {
        return { { "name", row.name }, { "dtype", toString(row.dtype) }, { "shape", row.shape },
            { "bytes", row.bytes }, { "elements", row.elements },
            { "changed", row.checksum.empty() ? Json(nullptr) : Json(row.changed) },
            { "changed_fraction", optionalNumber(row.changedFraction) },
            { "max_abs_delta", optionalNumber(row.maxAbsDelta) },
            { "l2_delta", optionalNumber(row.l2Delta) },
            { "nonfinite", optionalCount(row.nonFinite) },
            { "checksum", optionalText(row.checksum) }, { "status", toString(row.status) },
            { "note", optionalText(row.note) } };
    }

    Json mismatchJson(const std::optional<Mismatch>& mismatch)
    {
        if (!mismatch)
            return nullptr;
        return { { "tensor", mismatch->tensor }, { "element", optionalCount(mismatch->element) },
            { "byte_offset", optionalCount(mismatch->byteOffset) },
            { "base", optionalText(mismatch->base) },
            { "expected", optionalText(mismatch->expected) },
            { "found", optionalText(mismatch->found) } };
    }

} // namespace

std::string toJson(const DeltaReport& report)
{
    return oneLine({ { "format", report.format }, { "bytes_base", report.bytesBase },
        { "bytes_new", report.bytesNew }, { "bytes_delta", report.bytesDelta },
        { "ratio", number(report.ratio) }, { "changed_fraction", number(report.changedFraction) },
        { "changed", report.changed }, { "elements", report.elements },
        { "tensors", report.tensors }, { "seconds", number(report.seconds) },
        { "device", report.device }, { "kernel", report.kernel },
        { "stages", stagesJson(report.stages) }, { "warnings", report.warnings } });
}

std::string toJson(const VerifyReport& report)
{
    Json rows = Json::array();
    for (const auto& row : report.rows)
        rows.push_back(rowJson(row));
    const auto& counts = report.counts;
    return oneLine({ { "verdict", toString(report.verdict) },
        { "tensors",
            { { "total", counts.total }, { "exact", counts.exact }, { "mismatch", counts.mismatch },
                { "missing", counts.missing }, { "extra", counts.extra },
                { "not_checked", counts.notChecked } } },
        { "first_mismatch", mismatchJson(report.firstMismatch) }, { "bytes", report.bytes },
        { "bytes_base", report.bytesBase }, { "bytes_new", report.bytesNew },
        { "bytes_delta", report.bytesDelta > 0 ? Json(report.bytesDelta) : Json(nullptr) },
        { "ratio", report.bytesDelta > 0 ? number(report.ratio) : Json(nullptr) },
        { "changed_fraction", number(report.changedFraction) },
        { "seconds", number(report.seconds) }, { "device", report.device },
        { "kernel", report.kernel }, { "added", report.added }, { "removed", report.removed },
        { "reshaped", report.reshaped }, { "rows", rows }, { "stages", stagesJson(report.stages) },
        { "warnings", report.warnings } });
}

std::string toJson(const InspectReport& report)
{
    Json tensors = Json::array();
    for (const auto& tensor : report.tensors)
        tensors.push_back({ { "name", tensor.info.name }, { "dtype", toString(tensor.info.dtype) },
            { "shape", tensor.info.shape }, { "file", optionalText(tensor.file) },
            { "bytes", tensor.info.byteCount() }, { "elements", tensor.info.elementCount() },
            { "min", optionalNumber(tensor.min) }, { "max", optionalNumber(tensor.max) },
            { "mean", optionalNumber(tensor.mean) }, { "rms", optionalNumber(tensor.rms) },
            { "nonfinite", optionalCount(tensor.nonFinite) },
            { "zeros", optionalCount(tensor.zeros) },
            { "checksum", optionalText(tensor.checksum) } });
    Json problems = Json::array();
    for (const auto& problem : report.problems)
        problems.push_back({ { "code", problem.code }, { "file", optionalText(problem.file) },
            { "tensor", optionalText(problem.tensor) }, { "offset", optionalCount(problem.offset) },
            { "message", problem.message } });
    return oneLine({ { "kind", report.kind }, { "format", report.format },
        { "path", report.realPath.string() }, { "bytes", report.bytes }, { "tensors", tensors },
        { "problems", problems } });
}

std::string toJson(const Error& error)
{
    return oneLine({ { "error",
        { { "code", toString(error.code) }, { "message", error.message },
            { "unchanged", optionalText(error.unchanged) }, { "next", optionalText(error.next) },
            { "request_id", optionalText(error.requestId) } } } });
}

std::string progressJson(std::uint64_t done, std::uint64_t total, double bytesPerSecond)
{
    return oneLine({ { "event", "progress" }, { "done", done }, { "total", total },
        { "fraction",
            number(total == 0 ? 0 : static_cast<double>(done) / static_cast<double>(total)) },
        { "bytes_per_second", number(bytesPerSecond) } });
}

std::string toJson(const std::vector<BenchItem>& items, std::string_view asOf)
{
    Json list = Json::array();
    for (const auto& item : items)
        list.push_back(
            { { "name", item.name }, { "value", number(item.value) }, { "unit", item.unit },
                { "reference", item.reference }, { "reference_value", number(item.referenceValue) },
                { "ratio",
                    item.referenceValue != 0 ? number(item.value / item.referenceValue)
                                             : Json(nullptr) },
                { "target", optionalNumber(item.target) },
                { "better", item.isHigherBetter ? "higher" : "lower" }, { "kernel", item.kernel },
                { "device", item.device }, { "threads", item.threads }, { "cpu", item.cpu } });
    return oneLine({ { "as_of", asOf }, { "items", list } });
}

} // namespace desk
