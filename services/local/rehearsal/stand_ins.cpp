// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/rehearsal/stand_ins.h"

#include "services/codecs/hf_codec.h"
#include "services/local/engine/engine.h"
#include "services/local/engine/model_config.h"
#include "services/local/objects/files.h"
#include "services/local/server/log.h"

#include <algorithm>
#include <array>
#include <utility>

namespace desk::local {

namespace fs = std::filesystem;

namespace {

    constexpr const char* kStandInFacts = "stand_in.json";
    constexpr const char* kStandInFolder = "base/stand-in-";
    constexpr const char* kTokenizerFolder = "tokenizer";
    constexpr std::size_t kMostStandIns = 64;
    constexpr std::size_t kMaxStandInName = 200;
    constexpr std::uint64_t kMostVocabulary = std::uint64_t { 1 } << 19;
    constexpr std::uint64_t kByteVocabulary = 259;
    constexpr std::uint64_t kMostTokenizerBytes = std::uint64_t { 64 } << 20;
    /// What transformers reads of a tokenizer.
    constexpr std::array kTokenizerFiles { "tokenizer.json", "tokenizer_config.json",
        "special_tokens_map.json", "added_tokens.json", "tokenizer.model", "vocab.json",
        "merges.txt", "chat_template.jinja" };

    struct Family
    {
        std::string_view word; ///< in the lower-case name
        std::uint64_t vocabSize; ///< vocab_size of its config.json
    };
    // The first that fits counts, so a longer word stands before a shorter one.
    constexpr std::array kFamilies {
        Family { "qwen3", 151'936 },
        Family { "qwen2", 151'936 },
        Family { "llama-4", 202'048 },
        Family { "llama4", 202'048 },
        Family { "llama-v3", 128'256 },
        Family { "llama-3", 128'256 },
        Family { "llama3", 128'256 },
        Family { "llama-2", 32'000 },
        Family { "deepseek-v3", 129'280 },
        Family { "deepseek-r1", 129'280 },
        Family { "kimi-k2", 163'840 },
        Family { "gpt-oss", 201'088 },
        Family { "gemma-3", 262'144 },
        Family { "gemma-2", 256'000 },
        Family { "glm-4", 151'552 },
        Family { "mistral-nemo", 131'072 },
        Family { "phi-4", 100'352 },
        Family { "smollm", 49'152 },
    };

    Error standInUsage(std::string message, std::string next)
    {
        return Error { Error::Code::Usage, std::move(message), "no stand-in was made",
            std::move(next), {} };
    }

    bool isModelName(std::string_view name)
    {
        const auto isPlain = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
                || c == '-' || c == '_' || c == '.' || c == '/' || c == ':';
        };
        return !name.empty() && name.size() <= kMaxStandInName && name.front() != '/'
            && name.find("..") == std::string_view::npos
            && std::all_of(name.begin(), name.end(), isPlain);
    }

    std::string lowerCase(std::string_view text)
    {
        std::string lower(text);
        for (char& c : lower)
            if (c >= 'A' && c <= 'Z')
                c = static_cast<char>(c - 'A' + 'a');
        return lower;
    }

    /// In the alphabet of model ids, from the last segment of the name.
    std::string standInId(const std::string& name)
    {
        std::string id;
        for (const char c : lowerCase(name.substr(name.rfind('/') + 1)))
            id += (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
        id.resize(std::min<std::size_t>(id.size(), 56));
        return id;
    }

    std::uint64_t seedOf(std::string_view name)
    {
        std::uint64_t hash = 0xcbf29ce484222325U; // FNV-1a: equal names, equal weights
        for (const char c : name)
            hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
        return hash;
    }

    /// Small enough to train in step with a script, with the positions of a real chat.
    ModelConfig standInConfig(std::uint64_t vocabSize)
    {
        ModelConfig config;
        config.vocabSize = static_cast<int>(vocabSize);
        config.hiddenSize = 32;
        config.intermediateSize = 64;
        config.layers = 2;
        config.heads = 2;
        config.kvHeads = 1;
        config.headDim = 16;
        config.maxPositions = 16'384;
        return config;
    }

    std::optional<std::uint64_t> vocabularyOfConfig(const fs::path& snapshot)
    {
        if (snapshot.empty())
            return std::nullopt;
        const auto text = readSmallFile(snapshot / "config.json", std::uint64_t { 1 } << 20);
        const auto config = text ? parseHfConfig(*text) : Result<HfConfig>(text.error());
        if (!config || config->vocabSize <= 0)
            return std::nullopt;
        return static_cast<std::uint64_t>(config->vocabSize);
    }

    /// False, and nothing is left, when the snapshot has no tokenizer.json.
    bool copyTokenizer(const fs::path& snapshot, const fs::path& folder)
    {
        if (snapshot.empty() || !makeFolder(folder))
            return false;
        bool hasTokens = false;
        for (const char* name : kTokenizerFiles) {
            const auto text = readSmallFile(snapshot / name, kMostTokenizerBytes);
            if (text && writeFileSafely(folder / name, *text)
                && std::string_view(name) == "tokenizer.json")
                hasTokens = true;
        }
        if (!hasTokens)
            removeTree(folder);
        return hasTokens;
    }

} // namespace

std::optional<std::uint64_t> vocabularyOfFamily(std::string_view modelName)
{
    const auto lower = lowerCase(modelName);
    for (const auto& family : kFamilies)
        if (lower.find(family.word) != std::string::npos)
            return family.vocabSize;
    return std::nullopt;
}

StandIns::StandIns(ObjectStore& store)
    : m_store(store)
{
}

Result<std::vector<std::string>> StandIns::restore()
{
    std::vector<std::string> ids;
    auto rows = m_store.models();
    if (!rows)
        return rows.error();
    for (const auto& row : *rows) {
        if (!row.isBase || row.folder.rfind(kStandInFolder, 0) != 0)
            continue;
        const auto folder = m_store.absolute(row.folder);
        const auto text = readSmallFile(folder / kStandInFacts, std::uint64_t { 1 } << 16);
        const auto facts = text ? decodeStandIn(*text) : Result<StandIn>(text.error());
        if (!facts) {
            logLine(LogLevel::Warning,
                "the stand-in " + row.id + " is no longer offered: " + facts.error().message);
            continue;
        }
        ids.push_back(row.id);
        const std::scoped_lock lock(m_mutex);
        m_standIns[facts->name] = *facts;
    }
    return ids;
}

void StandIns::allow(bool isAllowed)
{
    const std::scoped_lock lock(m_mutex);
    m_isAllowed = isAllowed;
}

void StandIns::wish(const std::string& name, std::uint64_t vocabSize)
{
    const std::scoped_lock lock(m_mutex);
    m_wishes[name] = vocabSize;
}

void StandIns::setHubCache(fs::path folder)
{
    const std::scoped_lock lock(m_mutex);
    m_hubCache = std::move(folder);
}

std::optional<StandIn> StandIns::find(std::string_view name) const
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_standIns.find(name);
    return found == m_standIns.end() ? std::nullopt : std::optional(found->second);
}

std::vector<StandIn> StandIns::all() const
{
    const std::scoped_lock lock(m_mutex);
    std::vector<StandIn> list;
    for (const auto& [name, standIn] : m_standIns)
        list.push_back(standIn);
    return list;
}

Result<ModelRow> StandIns::make(const std::string& name)
{
    const std::scoped_lock making(m_making);
    if (const auto known = find(name))
        return m_store.model(known->id);
    {
        const std::scoped_lock lock(m_mutex);
        if (!m_isAllowed)
            return Error { Error::Code::NotFound, "there is no base model " + name,
                "nothing was changed",
                "use a model of this backend, or run the script with trainerdesk-ctl rehearse",
                {} };
        if (m_standIns.size() >= kMostStandIns)
            return standInUsage("there are " + std::to_string(kMostStandIns) + " stand-ins already",
                "use a fresh data folder");
    }
    if (!isModelName(name))
        return standInUsage("this is not the name of a model", "send for example Qwen/Qwen3-8B");
    auto standIn = build(name);
    if (!standIn)
        return standIn.error();
    if (auto status = offer(*standIn); !status)
        return status.error();
    logLine(LogLevel::Info, standInSentence(*standIn));
    const std::scoped_lock lock(m_mutex);
    m_standIns[name] = *standIn;
    return m_store.model(standIn->id);
}

fs::path StandIns::cachedSnapshot(const std::string& name) const
{
    fs::path cache;
    {
        const std::scoped_lock lock(m_mutex);
        cache = m_hubCache;
    }
    if (cache.empty())
        return {};
    std::string folder = "models--";
    for (const char c : name)
        folder += c == '/' ? std::string("--") : std::string(1, c);
    std::error_code error;
    fs::path newest;
    fs::file_time_type newestTime {};
    for (const auto& entry : fs::directory_iterator(cache / folder / "snapshots", error)) {
        const auto time = fs::last_write_time(entry.path(), error);
        if (!error && (newest.empty() || time > newestTime)) {
            newest = entry.path();
            newestTime = time;
        }
    }
    return newest;
}

Result<StandIn> StandIns::build(const std::string& name)
{
    StandIn standIn;
    standIn.name = name;
    const auto wanted = standInId(name);
    standIn.id = wanted;
    for (int i = 2; m_store.model(standIn.id); ++i)
        standIn.id = wanted + "-" + std::to_string(i);
    const auto snapshot = cachedSnapshot(name);
    std::optional<std::uint64_t> wish;
    {
        const std::scoped_lock lock(m_mutex);
        if (const auto found = m_wishes.find(name); found != m_wishes.end())
            wish = found->second;
    }
    const auto config = vocabularyOfConfig(snapshot);
    const auto family = vocabularyOfFamily(name);
    standIn.vocabSize = wish ? *wish : config ? *config : family.value_or(kByteVocabulary);
    standIn.vocabularyFrom = wish ? "given" : config ? "config" : family ? "family" : "unknown";
    if (standIn.vocabSize < kByteVocabulary || standIn.vocabSize > kMostVocabulary)
        return standInUsage("a vocabulary of " + std::to_string(standIn.vocabSize)
                + " is not between 259 and 524288",
            "give another size with --stand-in " + name + "=SIZE");

    auto pool = std::make_shared<ThreadPool>(1);
    auto engine = Engine::create(standInConfig(standIn.vocabSize), seedOf(name), pool);
    if (!engine)
        return engine.error();
    standIn.parameters = (*engine)->parameterCount();
    const auto folder = m_store.absolute(kStandInFolder + standIn.id);
    if (auto status = makeFolder(folder.parent_path()); !status)
        return status.error();
    removeTree(folder); // of a start that ended before its row was written
    if (auto status = (*engine)->exportHf(folder); !status)
        return status.error();
    standIn.hasOwnTokenizer = copyTokenizer(snapshot, folder / kTokenizerFolder);
    if (auto status = writeFileSafely(folder / kStandInFacts, encodeStandIn(standIn)); !status)
        return status.error();
    return standIn;
}

Status StandIns::offer(const StandIn& standIn)
{
    ModelRow row;
    row.id = standIn.id;
    row.folder = kStandInFolder + standIn.id;
    row.isBase = true;
    row.model.displayName = "Stand-in for " + standIn.name;
    row.model.kind = "HF_BASE_MODEL";
    row.model.state = "READY";
    return m_store.addModel(row);
}

} // namespace desk::local
