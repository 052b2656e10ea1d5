// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/adapter_folder.h"

#include "services/codecs/hf_codec.h"
#include "services/delta/output_file.h"
#include "services/delta/safetensors.h"
#include "services/local/engine/hf_folder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

namespace desk::local {
namespace {
    namespace fs = std::filesystem;
    constexpr const char* kAdapterConfig = "adapter_config.json";
    constexpr const char* kAdapterWeights = "adapter_model.safetensors";
    const std::string kPeftPrefix = "base_model.model.";

    Error adapterFolderRefusal(const fs::path& folder, const std::string& what)
    {
        return { Error::Code::Refused, folder.string() + ": " + what, "The adapter was not loaded",
            "Use a LoRA adapter (peft) that was trained on this base model", {} };
    }

    std::string whyNotRun(const HfAdapter& a)
    {
        if (a.peftType != "LORA")
            return "peft_type " + a.peftType.substr(0, 64) + " is not supported, only LORA";
        if (a.rank < 1 || a.rank > kMaxLoraRank)
            return "r is " + std::to_string(a.rank) + ", outside 1 to "
                + std::to_string(kMaxLoraRank);
        if (!(a.alpha > 0.0) || !(a.alpha <= 1e6))
            return "lora_alpha must be a number above 0";
        if (a.usesDora)
            return "use_dora is not supported";
        if (a.isFanInFanOut)
            return "fan_in_fan_out is not supported";
        if (a.bias != "none")
            return "trained biases are not supported";
        if (a.hasPatterns)
            return "rank_pattern and alpha_pattern are not supported";
        if (a.savesModules)
            return "modules_to_save is not supported";
        return {};
    }

    bool startsWith(const std::string& text, const std::string& start)
    {
        return text.compare(0, start.size(), start) == 0;
    }

    // Which parts the file has; the layout of storage follows from that.
    Result<LoraSettings> settingsOf(
        const fs::path& folder, const HfAdapter& adapter, const SafetensorsHeader& header)
    {
        LoraSettings settings;
        settings.rank = static_cast<int>(adapter.rank);
        // rsLoRA divides by the square root of the rank; an alpha that gives the same scale.
        settings.alpha = adapter.usesRslora
            ? adapter.alpha * std::sqrt(static_cast<double>(adapter.rank))
            : adapter.alpha;
        settings.trainsAttention = settings.trainsMlp = settings.trainsUnembed = false;
        for (const TensorInfo& info : header.tensors) {
            const std::string& name = info.name;
            settings.trainsAttention |= name.find(".self_attn.") != std::string::npos;
            settings.trainsMlp |= name.find(".mlp.") != std::string::npos;
            settings.trainsUnembed |= startsWith(name, kPeftPrefix + "lm_head.");
        }
        if (!settings.trainsAttention && !settings.trainsMlp && !settings.trainsUnembed)
            return adapterFolderRefusal(folder, "it has no adapter of a matrix of this model");
        return settings;
    }

    Status readAdapterTensors(const fs::path& folder, const SafetensorsFile& file,
        const std::vector<TensorSpec>& specs, std::vector<float>& out)
    {
        std::map<std::string, const TensorSpec*> byName;
        for (const TensorSpec& spec : specs)
            byName.emplace(kPeftPrefix + spec.name, &spec);
        for (const TensorInfo& info : file.header().tensors) {
            const auto found = byName.find(info.name);
            if (found == byName.end())
                return adapterFolderRefusal(folder,
                    "tensor " + info.name + " belongs to no matrix that can be adapted here");
            const TensorSpec& spec = *found->second;
            if (info.shape != spec.shape)
                return adapterFolderRefusal(folder,
                    "tensor " + info.name + " is not of the shape that the model and r give");
            const std::span values(out.data() + spec.offset, spec.count);
            if (const Status read = readWeights(file, info, values); !read)
                return read;
            byName.erase(found);
        }
        // An A without its B or the other way round is a damaged file.
        for (const auto& [name, spec] : byName) {
            const bool isA = name.find(".lora_A.") != std::string::npos;
            std::string partner = name;
            partner.replace(
                partner.find(isA ? ".lora_A." : ".lora_B."), 8, isA ? ".lora_B." : ".lora_A.");
            if (byName.find(partner) == byName.end())
                return adapterFolderRefusal(folder, "tensor " + name + " is missing");
        }
        return done();
    }

    std::vector<std::string> targetModules(const LoraSettings& settings)
    {
        std::vector<std::string> names;
        if (settings.trainsAttention)
            names.insert(names.end(), { "q_proj", "k_proj", "v_proj", "o_proj" });
        if (settings.trainsMlp)
            names.insert(names.end(), { "gate_proj", "up_proj", "down_proj" });
        if (settings.trainsUnembed)
            names.emplace_back("lm_head");
        return names;
    }
} // namespace

Result<LoadedAdapter> loadAdapterFolder(const fs::path& folder, const ModelConfig& config)
{
    const auto text = readTextFile(folder / kAdapterConfig, 1 << 20);
    if (!text)
        return text.error();
    const auto adapter = parseHfAdapter(*text);
    if (!adapter)
        return adapter.error();
    if (const std::string why = whyNotRun(*adapter); !why.empty())
        return adapterFolderRefusal(folder, why);
    const auto file = SafetensorsFile::open(folder / kAdapterWeights);
    if (!file)
        return file.error();
    const auto settings = settingsOf(folder, *adapter, file->header());
    if (!settings)
        return settings.error();
    LoadedAdapter loaded;
    loaded.settings = *settings;
    loaded.baseModel = adapter->baseModel;
    const auto specs = loraSpecs(config, loaded.settings);
    loaded.weights.assign(specs.back().offset + specs.back().count, 0.0F);
    if (const Status read = readAdapterTensors(folder, *file, specs, loaded.weights); !read)
        return read.error();
    if (!std::all_of(loaded.weights.begin(), loaded.weights.end(),
            [](float value) { return std::isfinite(value); }))
        return adapterFolderRefusal(folder, "it has values that are not finite");
    return loaded;
}

Status writeAdapterFolder(const fs::path& folder, const ModelConfig& config,
    const LoraSettings& settings, std::span<const float> weights, const std::string& baseModel)
{
    std::vector<TensorView> tensors;
    for (const TensorSpec& spec : loraSpecs(config, settings))
        tensors.push_back({ kPeftPrefix + spec.name, Dtype::F32, spec.shape,
            std::as_bytes(weights.subspan(spec.offset, spec.count)) });
    HfAdapter adapter;
    adapter.baseModel = baseModel;
    adapter.rank = settings.rank;
    adapter.alpha = settings.alpha;
    adapter.targetModules = targetModules(settings);
    auto output = OutputFolder::create(folder);
    if (!output)
        return output.error();
    const fs::path file = output->building() / kAdapterWeights;
    if (const Status w = writeSafetensors(file, tensors, { { "format", "pt" } }); !w)
        return w;
    if (const Status w =
            writeTextFile(output->building() / kAdapterConfig, writeHfAdapter(adapter));
        !w)
        return w;
    if (const Status same = verifyTensors(file, tensors); !same)
        return same;
    return output->commit();
}

Result<std::vector<float>> fitAdapter(
    const ModelConfig& config, const LoadedAdapter& from, const LoraSettings& to)
{
    const auto refuse = [](const std::string& what) {
        return Error { Error::Code::Refused, what, "The adapter was not loaded",
            "Create the model with the rank and the matrices of the adapter", {} };
    };
    if (from.settings.rank > to.rank)
        return refuse("The adapter has rank " + std::to_string(from.settings.rank)
            + ", the model is trained with rank " + std::to_string(to.rank));
    if ((from.settings.trainsAttention && !to.trainsAttention)
        || (from.settings.trainsMlp && !to.trainsMlp)
        || (from.settings.trainsUnembed && !to.trainsUnembed))
        return refuse("The adapter has matrices that this model does not train");
    // A matrix that the adapter lacks, and the ranks it lacks, start as in a fresh adapter.
    std::vector<float> fitted = seedAdapter(config, to);
    const double factor = from.settings.alpha / from.settings.rank / (to.alpha / to.rank);
    std::map<std::string, TensorSpec> target;
    for (TensorSpec& spec : loraSpecs(config, to))
        target.emplace(spec.name, std::move(spec));
    for (const TensorSpec& spec : loraSpecs(config, from.settings)) {
        const TensorSpec& other = target.at(spec.name);
        const bool isB = spec.name.find(".lora_B.") != std::string::npos;
        const auto scale = static_cast<float>(isB ? factor : 1.0);
        for (std::uint64_t r = 0; r < spec.shape[0]; ++r)
            for (std::uint64_t c = 0; c < spec.shape[1]; ++c)
                fitted[other.offset + r * other.shape[1] + c] =
                    scale * from.weights[spec.offset + r * spec.shape[1] + c];
    }
    return fitted;
}

} // namespace desk::local
