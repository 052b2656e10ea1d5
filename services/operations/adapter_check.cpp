// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/operations/adapter_check.h"

#include "services/codecs/hf_codec.h"
#include "services/delta/weight_set.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

namespace desk {
namespace {

    constexpr std::uint64_t kMaxAdapterConfig = std::uint64_t { 1 } << 20;
    constexpr std::size_t kReadBlock = std::size_t { 1 } << 20;
    constexpr std::string_view kPeftPrefix = "base_model.model.";

    std::string_view withoutPrefix(std::string_view name)
    {
        if (name.substr(0, kPeftPrefix.size()) == kPeftPrefix)
            name.remove_prefix(kPeftPrefix.size());
        return name;
    }

    /// The module of "….lora_A.weight" or "….lora_A.default.weight"; empty for other tensors.
    std::string_view moduleOf(std::string_view name, std::string_view part)
    {
        const auto at = name.rfind(part);
        return at == std::string_view::npos ? std::string_view() : name.substr(0, at);
    }

    bool isAllZero(const SafetensorsFile& file, const TensorInfo& tensor, Status& status)
    {
        std::vector<std::byte> block;
        for (std::uint64_t at = 0; at < tensor.byteCount(); at += block.size()) {
            block.resize(static_cast<std::size_t>(
                std::min<std::uint64_t>(kReadBlock, tensor.byteCount() - at)));
            status = file.read(tensor, at, block);
            if (!status)
                return false;
            // -0.0 is a zero too: its sign bit alone.
            const auto isZero = [](std::byte b) { return b == std::byte { 0 }; };
            if (!std::all_of(block.begin(), block.end(), isZero))
                return false;
        }
        return true;
    }

    /// The base's module that ends like `module`, as far as it goes.
    std::string nearestModule(const WeightSet& base, std::string_view module)
    {
        std::string best;
        std::size_t most = 0;
        for (const auto& tensor : base.tensors()) {
            std::string_view name = tensor.info->name;
            constexpr std::string_view kWeight = ".weight";
            if (name.ends_with(kWeight))
                name.remove_suffix(kWeight.size());
            std::size_t same = 0;
            while (same < name.size() && same < module.size()
                && name[name.size() - 1 - same] == module[module.size() - 1 - same])
                ++same;
            if (same > most) {
                most = same;
                best = name;
            }
        }
        return best;
    }

    std::string readBaseName(const std::filesystem::path& folder)
    {
        std::error_code failure;
        const auto path = folder / "adapter_config.json";
        const auto size = std::filesystem::file_size(path, failure);
        if (failure || size > kMaxAdapterConfig)
            return {};
        std::ifstream file(path, std::ios::binary);
        std::ostringstream text;
        text << file.rdbuf();
        const auto config = parseHfAdapter(text.str());
        return config ? config->baseModel : std::string();
    }

    void compareWhole(const WeightSet& base, const TensorInfo& tensor, AdapterReport& report)
    {
        const auto name = std::string(withoutPrefix(tensor.name));
        const auto* other = base.find(name);
        if (other != nullptr && other->info->shape != tensor.shape)
            report.clashes.push_back({ name, tensor.shape, other->info->shape });
    }

} // namespace

std::string dimensionsText(const std::vector<std::uint64_t>& shape)
{
    std::string text;
    for (const auto size : shape)
        text += (text.empty() ? "" : "x") + std::to_string(size);
    return text.empty() ? "scalar" : text;
}

Result<AdapterReport> inspectAdapter(
    const std::filesystem::path& adapter, const std::filesystem::path& base)
{
    const auto weights = WeightSet::open(base, WeightSet::Shorts::Refuse);
    if (!weights)
        return weights.error();
    auto file = SafetensorsFile::open(adapter / "adapter_model.safetensors");
    if (!file)
        return file.error();
    AdapterReport report;
    report.namedBase = readBaseName(adapter);
    bool isZero = true;
    for (const auto& tensor : file->header().tensors) {
        const auto name = withoutPrefix(tensor.name);
        if (!moduleOf(name, ".lora_A").empty())
            continue;
        const auto module = moduleOf(name, ".lora_B");
        if (module.empty()) {
            compareWhole(*weights, tensor, report);
            continue;
        }
        ++report.moduleCount;
        if (weights->find(std::string(module) + ".weight") != nullptr) {
            ++report.matchingCount;
        } else if (report.exampleAdapter.empty()) {
            report.exampleAdapter = module;
            report.exampleBase = nearestModule(*weights, module);
        }
        Status status = done();
        isZero = isZero && isAllZero(*file, tensor, status);
        if (!status)
            return status.error();
    }
    report.isZero = isZero && report.moduleCount > 0;
    return report;
}

} // namespace desk
