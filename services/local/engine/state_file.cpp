// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/state_file.h"

#include "services/delta/output_file.h"
#include "services/delta/safetensors.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace desk::local {
namespace {
    namespace fs = std::filesystem;
    constexpr const char* kStateFile = "state.safetensors";
    constexpr const char* kStateFormat = "trainerdesk-state-1";
    constexpr const char* kAdapterStateFormat = "trainerdesk-adapter-state-1";

    Error stateRefusal(const fs::path& file, const std::string& what)
    {
        return { Error::Code::Refused, file.string() + ": " + what,
            "The state was not loaded; the model in training is as before",
            "Load a state that was saved from the same base model", {} };
    }

    void addViews(std::vector<TensorView>& views, const std::vector<TensorSpec>& specs,
        const std::string& prefix, const std::vector<float>& values)
    {
        for (const TensorSpec& spec : specs)
            views.push_back({ prefix + spec.name, Dtype::F32, spec.shape,
                std::as_bytes(std::span(values).subspan(spec.offset, spec.count)) });
    }

    Status readInto(const SafetensorsFile& file, const std::vector<TensorSpec>& specs,
        const std::string& prefix, std::vector<float>& out)
    {
        out.resize(specs.back().offset + specs.back().count);
        for (const TensorSpec& spec : specs) {
            const TensorInfo* info = file.header().find(prefix + spec.name);
            if (info == nullptr)
                return stateRefusal(file.path(), "tensor " + prefix + spec.name + " is missing");
            if (info->dtype != Dtype::F32 || info->shape != spec.shape)
                return stateRefusal(
                    file.path(), "tensor " + prefix + spec.name + " is that of another model");
            const auto to = std::as_writable_bytes(std::span(out).subspan(spec.offset, spec.count));
            if (const Status read = file.read(*info, 0, to); !read)
                return read;
        }
        return done();
    }

    const char* formatOf(const StateKind& kind)
    {
        return kind.facts.empty() ? kStateFormat : kAdapterStateFormat;
    }

    // Empty when the file is a state of this kind.
    std::string whyOther(const std::map<std::string, std::string>& metadata, const StateKind& kind)
    {
        const auto format = metadata.find("format");
        if (format == metadata.end()
            || (format->second != kStateFormat && format->second != kAdapterStateFormat))
            return "it is not a training state";
        if (format->second != formatOf(kind))
            return kind.facts.empty() ? "it is the state of LoRA adapters; this model is trained "
                                        "with all its parameters"
                                      : "it is the state of a full-parameter model; this one is "
                                        "trained with LoRA adapters";
        for (const auto& [name, value] : kind.facts) {
            const auto found = metadata.find(name);
            const std::string other = found == metadata.end() ? "unknown" : found->second;
            if (other != value)
                return "its " + name + " is " + other.substr(0, 64) + ", here it is " + value;
        }
        return {};
    }

    bool isSameBits(const std::vector<float>& a, const std::vector<float>& b)
    {
        return a.size() == b.size()
            && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
    }
} // namespace

Status writeState(const fs::path& folder, const StateKind& kind, const TrainingState& state)
{
    const auto& specs = kind.specs;
    std::vector<TensorView> views;
    addViews(views, specs, "", state.weights);
    addViews(views, specs, "adam.first.", state.moments.first);
    addViews(views, specs, "adam.second.", state.moments.second);
    auto output = OutputFolder::create(folder);
    if (!output)
        return output.error();
    auto metadata = kind.facts;
    metadata["format"] = formatOf(kind);
    metadata["step"] = std::to_string(state.moments.step);
    const Status written = writeSafetensors(output->building() / kStateFile, views, metadata);
    if (!written)
        return written;
    const auto back = readState(output->building(), kind, true);
    if (!back)
        return back.error();
    if (!isSameBits(back->weights, state.weights)
        || !isSameBits(back->moments.first, state.moments.first)
        || !isSameBits(back->moments.second, state.moments.second))
        return Error { Error::Code::Unreadable,
            folder.string() + ": the state reads back differently", "No state was published",
            "Check the disk", {} };
    return output->commit();
}

Result<TrainingState> readState(const fs::path& folder, const StateKind& kind, bool withOptimizer)
{
    const auto file = SafetensorsFile::open(folder / kStateFile);
    if (!file)
        return file.error();
    const auto& metadata = file->header().metadata;
    if (const std::string why = whyOther(metadata, kind); !why.empty())
        return stateRefusal(file->path(), why);
    const auto step = metadata.find("step");
    std::int64_t steps = -1;
    if (step != metadata.end())
        std::from_chars(step->second.data(), step->second.data() + step->second.size(), steps);
    if (steps < 0)
        return stateRefusal(file->path(), "it does not tell its step");
    const auto& specs = kind.specs;
    TrainingState state;
    if (const Status read = readInto(*file, specs, "", state.weights); !read)
        return read.error();
    if (!withOptimizer) {
        state.moments.first.assign(state.weights.size(), 0.0F);
        state.moments.second.assign(state.weights.size(), 0.0F);
        return state;
    }
    if (const Status read = readInto(*file, specs, "adam.first.", state.moments.first); !read)
        return read.error();
    if (const Status read = readInto(*file, specs, "adam.second.", state.moments.second); !read)
        return read.error();
    state.moments.step = steps;
    return state;
}

} // namespace desk::local
