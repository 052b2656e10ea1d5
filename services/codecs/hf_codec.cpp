// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/hf_codec.h"

#include "services/codecs/json_text.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace desk {
namespace {
    using HfJson = nlohmann::json;
    using HfOrdered = nlohmann::ordered_json;

    Error hfError(Error::Code code, const std::string& file, const std::string& what)
    {
        return { code, file + ": " + what, "The model was not opened",
            "Take the file from the folder that the model was published in", {} };
    }

    Result<HfJson> parseHfObject(
        std::string_view text, const std::string& file, const JsonLimits& limits)
    {
        if (const Status bounds = checkJsonBounds(text, limits); !bounds)
            return hfError(Error::Code::Malformed, file, bounds.error().message);
        HfJson json = HfJson::parse(text, nullptr, false);
        if (!json.is_object())
            return hfError(Error::Code::Malformed, file, "is not a JSON object");
        return json;
    }

    // Reads keys of one object and remembers the first thing that is wrong.
    class HfReader
    {
    public:
        HfReader(const HfJson& json, std::string file)
            : m_json(json)
            , m_file(std::move(file))
        {
        }

        [[nodiscard]] const HfJson* find(const char* key) const
        {
            const auto it = m_json.find(key);
            return it == m_json.end() || it->is_null() ? nullptr : &*it;
        }
        void wrong(const std::string& what)
        {
            if (!m_problem)
                m_problem = hfError(Error::Code::Malformed, m_file, what);
        }
        std::optional<std::int64_t> integer(const char* key)
        {
            const HfJson* value = find(key);
            if (value == nullptr)
                return std::nullopt;
            if (!value->is_number_integer()
                || (value->is_number_unsigned()
                    && value->get<std::uint64_t>()
                        > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))) {
                wrong(std::string(key) + " must be a whole number");
                return std::nullopt;
            }
            return value->get<std::int64_t>();
        }
        std::int64_t needed(const char* key)
        {
            if (find(key) == nullptr) {
                wrong(std::string(key) + " is missing");
                return 0;
            }
            return integer(key).value_or(0);
        }
        double number(const char* key, double fallback)
        {
            const HfJson* value = find(key);
            if (value == nullptr)
                return fallback;
            if (!value->is_number()) {
                wrong(std::string(key) + " must be a number");
                return fallback;
            }
            return value->get<double>();
        }
        bool flag(const char* key, bool fallback)
        {
            const HfJson* value = find(key);
            if (value == nullptr)
                return fallback;
            if (!value->is_boolean()) {
                wrong(std::string(key) + " must be true or false");
                return fallback;
            }
            return value->get<bool>();
        }
        std::string text(const char* key, std::string fallback)
        {
            const HfJson* value = find(key);
            if (value == nullptr)
                return fallback;
            if (!value->is_string()) {
                wrong(std::string(key) + " must be a text");
                return fallback;
            }
            return value->get<std::string>();
        }
        // A number or a list of numbers, as eos_token_id has it.
        std::vector<std::int64_t> integers(const char* key)
        {
            const HfJson* value = find(key);
            if (value == nullptr)
                return {};
            if (!value->is_array()) {
                const auto one = integer(key);
                return one ? std::vector { *one } : std::vector<std::int64_t> {};
            }
            std::vector<std::int64_t> all;
            for (const HfJson& item : *value) {
                if (!item.is_number_integer() || all.size() >= 256) {
                    wrong(std::string(key) + " must be a short list of whole numbers");
                    return {};
                }
                all.push_back(item.get<std::int64_t>());
            }
            return all;
        }
        [[nodiscard]] const std::optional<Error>& problem() const { return m_problem; }

    private:
        const HfJson& m_json;
        std::string m_file;
        std::optional<Error> m_problem;
    };

    std::string ropeTypeOf(const HfJson& parameters)
    {
        for (const char* key : { "rope_type", "type" })
            if (const auto it = parameters.find(key); it != parameters.end() && it->is_string()) {
                const auto type = it->get<std::string>();
                return type == "default" ? std::string {} : type;
            }
        return {};
    }

    void readRope(HfReader& reader, HfConfig& config)
    {
        config.ropeTheta = reader.number("rope_theta", config.ropeTheta);
        for (const char* key : { "rope_scaling", "rope_parameters" }) {
            const HfJson* parameters = reader.find(key);
            if (parameters == nullptr)
                continue;
            if (!parameters->is_object()) {
                reader.wrong(std::string(key) + " must be an object");
                return;
            }
            if (const auto theta = parameters->find("rope_theta");
                theta != parameters->end() && theta->is_number())
                config.ropeTheta = theta->get<double>();
            if (const std::string type = ropeTypeOf(*parameters); !type.empty())
                config.ropeScaling = type;
        }
    }

    void readKind(HfReader& reader, HfConfig& config)
    {
        config.modelType = reader.text("model_type", "unknown");
        config.architecture = "unknown";
        if (const HfJson* names = reader.find("architectures"); names != nullptr) {
            if (names->is_array() && !names->empty() && names->front().is_string())
                config.architecture = names->front().get<std::string>();
            else
                reader.wrong("architectures must be a list of names");
        }
        if (const HfJson* quantization = reader.find("quantization_config"))
            config.quantization = quantization->is_object()
                    && quantization->value("quant_method", HfJson()).is_string()
                ? quantization->value("quant_method", HfJson()).get<std::string>()
                : std::string("unknown method");
        config.dtype = reader.text("torch_dtype", reader.text("dtype", "unknown"));
    }
} // namespace

Result<HfConfig> parseHfConfig(std::string_view text)
{
    const auto json = parseHfObject(text, "config.json", { std::size_t { 1 } << 20 });
    if (!json)
        return json.error();
    HfReader reader(*json, "config.json");
    HfConfig config;
    readKind(reader, config);
    // Another architecture may name its sizes otherwise; it is refused by name, not by a key.
    if (config.modelType == "qwen3") {
        config.vocabSize = reader.needed("vocab_size");
        config.hiddenSize = reader.needed("hidden_size");
        config.intermediateSize = reader.needed("intermediate_size");
        config.layers = reader.needed("num_hidden_layers");
        config.heads = reader.needed("num_attention_heads");
        config.kvHeads = reader.integer("num_key_value_heads").value_or(config.heads);
        config.maxPositions = reader.needed("max_position_embeddings");
        config.headDim = reader.integer("head_dim")
                             .value_or(config.heads > 0 ? config.hiddenSize / config.heads : 0);
    }
    config.rmsNormEps = reader.number("rms_norm_eps", config.rmsNormEps);
    config.tiesEmbeddings = reader.flag("tie_word_embeddings", false);
    config.hiddenAct = reader.text("hidden_act", "silu");
    config.hasAttentionBias = reader.flag("attention_bias", false);
    config.usesSlidingWindow = reader.flag("use_sliding_window", false);
    config.bosToken = reader.integer("bos_token_id");
    config.eosTokens = reader.integers("eos_token_id");
    config.padToken = reader.integer("pad_token_id");
    readRope(reader, config);
    if (reader.problem())
        return *reader.problem();
    return config;
}

std::string writeHfConfig(const HfConfig& c)
{
    HfOrdered json {
        { "architectures", { c.architecture } },
        { "attention_bias", c.hasAttentionBias },
        { "attention_dropout", 0.0 },
        { "head_dim", c.headDim },
        { "hidden_act", c.hiddenAct },
        { "hidden_size", c.hiddenSize },
        { "initializer_range", 0.02 },
        { "intermediate_size", c.intermediateSize },
        { "max_position_embeddings", c.maxPositions },
        { "model_type", c.modelType },
        { "num_attention_heads", c.heads },
        { "num_hidden_layers", c.layers },
        { "num_key_value_heads", c.kvHeads },
        { "rms_norm_eps", c.rmsNormEps },
        { "rope_theta", c.ropeTheta },
        { "tie_word_embeddings", c.tiesEmbeddings },
        { "torch_dtype", c.dtype },
        { "use_cache", true },
        { "use_sliding_window", c.usesSlidingWindow },
        { "vocab_size", c.vocabSize },
    };
    if (c.bosToken)
        json["bos_token_id"] = *c.bosToken;
    if (c.eosTokens.size() == 1)
        json["eos_token_id"] = c.eosTokens.front();
    else if (!c.eosTokens.empty())
        json["eos_token_id"] = c.eosTokens;
    if (c.padToken)
        json["pad_token_id"] = *c.padToken;
    return json.dump(2) + "\n";
}

Result<HfGeneration> parseHfGeneration(std::string_view text)
{
    const auto json = parseHfObject(text, "generation_config.json", { std::size_t { 1 } << 20 });
    if (!json)
        return json.error();
    HfReader reader(*json, "generation_config.json");
    HfGeneration generation;
    generation.bosToken = reader.integer("bos_token_id");
    generation.eosTokens = reader.integers("eos_token_id");
    generation.padToken = reader.integer("pad_token_id");
    generation.temperature = reader.number("temperature", 1.0);
    generation.topP = reader.number("top_p", 1.0);
    if (reader.problem())
        return *reader.problem();
    return generation;
}

std::string writeHfGeneration(const HfGeneration& g)
{
    HfOrdered json { { "do_sample", true }, { "temperature", g.temperature }, { "top_p", g.topP } };
    if (g.bosToken)
        json["bos_token_id"] = *g.bosToken;
    if (g.eosTokens.size() == 1)
        json["eos_token_id"] = g.eosTokens.front();
    else if (!g.eosTokens.empty())
        json["eos_token_id"] = g.eosTokens;
    if (g.padToken)
        json["pad_token_id"] = *g.padToken;
    return json.dump(2) + "\n";
}

Result<HfAdapter> parseHfAdapter(std::string_view text)
{
    const std::string file = "adapter_config.json";
    const auto json = parseHfObject(text, file, { std::size_t { 1 } << 20 });
    if (!json)
        return json.error();
    HfReader reader(*json, file);
    HfAdapter adapter;
    adapter.baseModel = reader.text("base_model_name_or_path", {});
    adapter.peftType = reader.text("peft_type", "unknown");
    adapter.taskType = reader.text("task_type", {});
    adapter.rank = reader.needed("r");
    if (reader.find("lora_alpha") == nullptr)
        reader.wrong("lora_alpha is missing");
    adapter.alpha = reader.number("lora_alpha", 0.0);
    if (const HfJson* modules = reader.find("target_modules")) {
        if (modules->is_string())
            adapter.targetModules = { modules->get<std::string>() };
        else if (!modules->is_array() || modules->size() > 4096)
            reader.wrong("target_modules must be a list of names");
        else
            for (const HfJson& name : *modules)
                if (name.is_string())
                    adapter.targetModules.push_back(name.get<std::string>());
                else
                    reader.wrong("target_modules must be a list of names");
    }
    adapter.usesRslora = reader.flag("use_rslora", false);
    adapter.usesDora = reader.flag("use_dora", false);
    adapter.isFanInFanOut = reader.flag("fan_in_fan_out", false);
    adapter.bias = reader.text("bias", "none");
    for (const char* key : { "rank_pattern", "alpha_pattern" })
        if (const HfJson* pattern = reader.find(key))
            adapter.hasPatterns = adapter.hasPatterns || !pattern->empty();
    if (const HfJson* modules = reader.find("modules_to_save"))
        adapter.savesModules = !modules->empty();
    if (reader.problem())
        return *reader.problem();
    return adapter;
}

std::string writeHfAdapter(const HfAdapter& a)
{
    HfOrdered json {
        { "alpha_pattern", HfOrdered::object() },
        { "base_model_name_or_path", a.baseModel },
        { "bias", a.bias },
        { "fan_in_fan_out", a.isFanInFanOut },
        { "inference_mode", true },
        { "init_lora_weights", true },
        { "lora_alpha", a.alpha },
        { "lora_dropout", 0.0 },
        { "modules_to_save", nullptr },
        { "peft_type", a.peftType },
        { "r", a.rank },
        { "rank_pattern", HfOrdered::object() },
        { "target_modules", a.targetModules },
        { "task_type", a.taskType },
        { "use_dora", a.usesDora },
        { "use_rslora", a.usesRslora },
    };
    if (a.alpha == std::floor(a.alpha) && a.alpha < 1e9)
        json["lora_alpha"] = static_cast<std::int64_t>(a.alpha);
    return json.dump(2, ' ', false, HfOrdered::error_handler_t::replace) + "\n";
}

Result<std::map<std::string, std::string>> parseHfIndex(std::string_view text)
{
    const std::string file = "model.safetensors.index.json";
    const JsonLimits limits { std::size_t { 16 } << 20, 8, 200'000, 100'000 };
    const auto json = parseHfObject(text, file, limits);
    if (!json)
        return json.error();
    const auto found = json->find("weight_map");
    if (found == json->end() || !found->is_object())
        return hfError(Error::Code::Malformed, file, "weight_map is missing");
    std::map<std::string, std::string> index;
    for (const auto& [name, shard] : found->items()) {
        if (!shard.is_string())
            return hfError(Error::Code::Malformed, file, "weight_map must map names to file names");
        auto value = shard.get<std::string>();
        if (value.empty() || value.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos
            || value == "." || value == "..")
            return hfError(Error::Code::Malformed, file, "a shard is not a plain file name");
        index.emplace(name, std::move(value));
    }
    return index;
}

} // namespace desk
