// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/hf_folder.h"

#include "services/delta/output_file.h"
#include "services/delta/safetensors.h"
#include "services/local/engine/bfloat16.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <set>

namespace desk::local {
namespace {
    namespace fs = std::filesystem;

    struct SideFile
    {
        const char* name;
        std::uint64_t maxBytes;
    };
    constexpr SideFile kSideFiles[] {
        { "config.json", 1 << 20 },
        { "generation_config.json", 1 << 20 },
        { "tokenizer.json", 32 << 20 },
        { "tokenizer_config.json", 4 << 20 },
        { "special_tokens_map.json", 1 << 20 },
        { "added_tokens.json", 4 << 20 },
        { "vocab.json", 32 << 20 },
        { "merges.txt", 32 << 20 },
        { "chat_template.jinja", 1 << 20 },
    };
    constexpr std::uint64_t kMaxIndex = 16 << 20;
    constexpr std::size_t kMaxShards = 64;
    constexpr std::size_t kReadBlock = std::size_t { 1 } << 20; // bytes

    Error folderRefusal(const fs::path& folder, std::string what)
    {
        return { Error::Code::Refused, folder.string() + ": " + std::move(what),
            "The model was not opened",
            "Use the complete folder of a Qwen3-style model in BF16, F16 or F32", {} };
    }

    struct OpenFolder
    {
        ModelConfig config;
        std::vector<TensorSpec> specs;
        std::vector<SafetensorsFile> files;
        std::vector<std::pair<std::size_t, const TensorInfo*>> places; // of each spec
        std::uint64_t bytes = 0;
    };

    Result<std::vector<fs::path>> weightFiles(const fs::path& folder)
    {
        std::error_code ignored;
        const fs::path single = folder / "model.safetensors";
        if (fs::is_regular_file(single, ignored))
            return std::vector { single };
        const fs::path indexFile = folder / "model.safetensors.index.json";
        if (!fs::is_regular_file(indexFile, ignored))
            return folderRefusal(folder, "there is no model.safetensors");
        const auto text = readTextFile(indexFile, kMaxIndex);
        if (!text)
            return text.error();
        const auto index = parseHfIndex(*text);
        if (!index)
            return index.error();
        std::set<std::string> names;
        for (const auto& [tensor, shard] : *index)
            names.insert(shard);
        if (names.size() > kMaxShards)
            return folderRefusal(folder, "there are more than 64 shards");
        std::vector<fs::path> files;
        for (const std::string& name : names)
            files.push_back(folder / name);
        return files;
    }

    Status locateTensors(const fs::path& folder, OpenFolder& open)
    {
        std::set<std::string, std::less<>> known { "lm_head.weight" }; // a copy when tied
        for (const TensorSpec& spec : open.specs) {
            known.insert(spec.name);
            const TensorInfo* info = nullptr;
            std::size_t file = 0;
            for (std::size_t f = 0; f < open.files.size(); ++f)
                if (const TensorInfo* found = open.files[f].header().find(spec.name)) {
                    if (info != nullptr)
                        return folderRefusal(folder, "tensor " + spec.name + " is there twice");
                    info = found;
                    file = f;
                }
            if (info == nullptr)
                return folderRefusal(folder, "tensor " + spec.name + " is missing");
            if (info->shape != spec.shape)
                return folderRefusal(
                    folder, "tensor " + spec.name + " has not the shape that config.json tells");
            if (info->dtype != Dtype::BF16 && info->dtype != Dtype::F16
                && info->dtype != Dtype::F32)
                return folderRefusal(folder,
                    "tensor " + spec.name + " is " + toString(info->dtype)
                        + ", not BF16, F16 or F32");
            open.places.emplace_back(file, info);
            open.bytes += info->byteCount();
        }
        for (const SafetensorsFile& file : open.files)
            for (const TensorInfo& info : file.header().tensors)
                if (known.find(info.name) == known.end())
                    return folderRefusal(folder,
                        "tensor " + info.name + " belongs to no part of a Qwen3-style model");
        return done();
    }

    Result<OpenFolder> openFolder(const fs::path& folder)
    {
        const auto text = readTextFile(folder / "config.json", 1 << 20);
        if (!text)
            return text.error();
        const auto parsed = parseHfConfig(*text);
        if (!parsed)
            return parsed.error();
        const auto config = toModelConfig(*parsed);
        if (!config)
            return config.error();
        const auto paths = weightFiles(folder);
        if (!paths)
            return paths.error();
        OpenFolder open;
        open.config = *config;
        open.specs = tensorSpecs(*config);
        for (const fs::path& path : *paths) {
            auto file = SafetensorsFile::open(path);
            if (!file)
                return file.error();
            open.files.push_back(std::move(*file));
        }
        if (const Status located = locateTensors(folder, open); !located)
            return located.error();
        return open;
    }

    void convertBlock(Dtype dtype, const std::byte* from, std::size_t count, float* to)
    {
        if (dtype == Dtype::F32) {
            std::memcpy(to, from, count * sizeof(float));
            return;
        }
        for (std::size_t i = 0; i < count; ++i) {
            std::uint16_t half = 0;
            std::memcpy(&half, from + 2 * i, sizeof half);
            to[i] = dtype == Dtype::BF16 ? fromBfloat16(half) : fromHalf(half);
        }
    }

} // namespace

Status readWeights(const SafetensorsFile& file, const TensorInfo& info, std::span<float> out)
{
    if (info.dtype != Dtype::BF16 && info.dtype != Dtype::F16 && info.dtype != Dtype::F32)
        return Error { Error::Code::Refused,
            file.path().string() + ": tensor " + info.name + " is " + toString(info.dtype)
                + ", not BF16, F16 or F32",
            "Nothing was loaded", {}, {} };
    std::vector<std::byte> block(kReadBlock);
    const std::size_t width = bitsOf(info.dtype) / 8;
    for (std::uint64_t at = 0; at < info.byteCount();) {
        const auto size =
            static_cast<std::size_t>(std::min<std::uint64_t>(kReadBlock, info.byteCount() - at));
        const std::span part(block.data(), size);
        if (const Status read = file.read(info, at, part); !read)
            return read;
        convertBlock(info.dtype, block.data(), size / width, out.data() + at / width);
        at += size;
    }
    return done();
}

Status writeTextFile(const fs::path& path, const std::string& text)
{
    auto file = OutputFile::create(path);
    if (!file)
        return file.error();
    const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
    if (const Status written = file->writeAt(0, bytes); !written)
        return written;
    return file->commit();
}

Status verifyTensors(const fs::path& path, std::span<const TensorView> tensors)
{
    const auto file = SafetensorsFile::open(path);
    if (!file)
        return file.error();
    std::vector<std::byte> block(kReadBlock);
    for (const TensorView& tensor : tensors) {
        const TensorInfo* info = file->header().find(tensor.name);
        bool isSame = info != nullptr && info->byteCount() == tensor.data.size();
        for (std::size_t at = 0; isSame && at < tensor.data.size(); at += kReadBlock) {
            const std::size_t size = std::min(kReadBlock, tensor.data.size() - at);
            if (const Status read = file->read(*info, at, { block.data(), size }); !read)
                return read;
            isSame = std::memcmp(block.data(), tensor.data.data() + at, size) == 0;
        }
        if (!isSame)
            return Error { Error::Code::Unreadable,
                path.string() + ": tensor " + tensor.name + " reads back differently",
                "No folder was published", "Check the disk", {} };
    }
    return done();
}

Result<std::string> readTextFile(const fs::path& path, std::uint64_t maxBytes)
{
    std::error_code status;
    if (!fs::is_regular_file(path, status))
        return Error { fs::exists(path, status) ? Error::Code::Unreadable : Error::Code::NotFound,
            path.string() + ": there is no such file", "Nothing was read", {}, {} };
    std::ifstream in(path, std::ios::binary);
    if (!in)
        return systemError(errno, "read", path);
    std::string text;
    std::string block(64 << 10, '\0');
    while (in) {
        in.read(block.data(), static_cast<std::streamsize>(block.size()));
        text.append(block, 0, static_cast<std::size_t>(in.gcount()));
        if (text.size() > maxBytes)
            return Error { Error::Code::Malformed,
                path.string() + ": is longer than " + std::to_string(maxBytes) + " bytes",
                "The file was not used", {}, {} };
    }
    if (in.bad())
        return systemError(errno, "read", path);
    return text;
}

Result<std::pair<ModelConfig, std::uint64_t>> checkFolder(const fs::path& folder)
{
    const auto open = openFolder(folder);
    if (!open)
        return open.error();
    return std::pair { open->config, open->bytes };
}

Result<LoadedFolder> loadFolder(const fs::path& folder)
{
    const auto open = openFolder(folder);
    if (!open)
        return open.error();
    LoadedFolder loaded;
    loaded.config = open->config;
    loaded.weights.resize(parameterCount(open->config));
    for (std::size_t i = 0; i < open->specs.size(); ++i) {
        const auto& [file, info] = open->places[i];
        const std::span out(loaded.weights.data() + open->specs[i].offset, open->specs[i].count);
        if (const Status read = readWeights(open->files[file], *info, out); !read)
            return read.error();
    }
    std::error_code ignored;
    for (const SideFile& side : kSideFiles) {
        if (!fs::is_regular_file(folder / side.name, ignored))
            continue;
        auto text = readTextFile(folder / side.name, side.maxBytes);
        if (!text)
            return text.error();
        loaded.sideFiles.emplace(side.name, std::move(*text));
    }
    const auto config = parseHfConfig(loaded.sideFiles["config.json"]);
    if (!config || config->dtype != "bfloat16")
        loaded.sideFiles.erase("config.json");
    return loaded;
}

Status writeFolder(const fs::path& folder, const ModelConfig& config,
    std::span<const float> weights, const SideFiles& sideFiles)
{
    std::vector<std::uint16_t> narrow(weights.size());
    std::transform(weights.begin(), weights.end(), narrow.begin(), toBfloat16);
    std::vector<TensorView> tensors;
    for (const TensorSpec& spec : tensorSpecs(config))
        tensors.push_back({ spec.name, Dtype::BF16, spec.shape,
            std::as_bytes(std::span(narrow).subspan(spec.offset, spec.count)) });
    SideFiles files = sideFiles;
    files.try_emplace("config.json", writeHfConfig(toHfConfig(config)));
    HfGeneration generation;
    const HfConfig hf = toHfConfig(config);
    generation.bosToken = hf.bosToken;
    generation.eosTokens = hf.eosTokens;
    generation.padToken = hf.padToken;
    files.try_emplace("generation_config.json", writeHfGeneration(generation));

    auto output = OutputFolder::create(folder);
    if (!output)
        return output.error();
    const fs::path weightsFile = output->building() / "model.safetensors";
    if (const Status w = writeSafetensors(weightsFile, tensors, { { "format", "pt" } }); !w)
        return w;
    for (const auto& [name, text] : files)
        if (const Status written = writeTextFile(output->building() / name, text); !written)
            return written;
    if (const Status same = verifyTensors(weightsFile, tensors); !same)
        return same;
    return output->commit();
}

SideFiles byteTokenizerFiles(const ModelConfig& config)
{
    std::map<std::int32_t, std::string> names { { config.bosToken, "<|bos|>" },
        { config.eosToken, "<|eos|>" }, { config.padToken, "<|pad|>" } };
    std::vector<std::string> specials;
    for (std::int32_t id = 256; id < config.vocabSize; ++id) {
        const auto named = names.find(id);
        specials.push_back(
            named != names.end() ? named->second : "<|extra_" + std::to_string(id) + "|>");
    }
    const auto nameOf = [&](std::int32_t id) { return id >= 256 ? names[id] : std::string {}; };
    return { { "tokenizer.json", writeByteTokenizer(specials) },
        { "tokenizer_config.json",
            writeTokenizerConfig(nameOf(config.bosToken), nameOf(config.eosToken),
                nameOf(config.padToken), config.maxPositions) } };
}

} // namespace desk::local
