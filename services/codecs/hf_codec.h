// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The JSON files of a Hugging Face model folder: config.json, generation_config.json and
// tokenizer.json. Keys are those of transformers' Qwen3Config. Qt-free, no state, any thread.

namespace desk {

/// What config.json says, as it stands there; which of it can be run is the engine's decision.
struct HfConfig
{
    std::string architecture = "Qwen3ForCausalLM"; ///< architectures[0]
    std::string modelType = "qwen3";
    std::int64_t vocabSize = 0;
    std::int64_t hiddenSize = 0;
    std::int64_t intermediateSize = 0;
    std::int64_t layers = 0; ///< num_hidden_layers
    std::int64_t heads = 0; ///< num_attention_heads
    std::int64_t kvHeads = 0; ///< num_key_value_heads
    std::int64_t headDim = 0; ///< head_dim; hidden_size / heads when absent
    std::int64_t maxPositions = 0; ///< max_position_embeddings
    double rmsNormEps = 1e-6;
    double ropeTheta = 10000.0; ///< rope_theta, or rope_parameters.rope_theta
    bool tiesEmbeddings = true; ///< tie_word_embeddings
    std::string hiddenAct = "silu";
    std::string dtype = "bfloat16"; ///< torch_dtype or dtype
    bool hasAttentionBias = false;
    bool usesSlidingWindow = false;
    std::string ropeScaling; ///< its type when it is not the default one; empty: none
    std::string quantization; ///< quant_method of quantization_config; empty: not quantized
    std::optional<std::int64_t> bosToken;
    std::vector<std::int64_t> eosTokens;
    std::optional<std::int64_t> padToken;
};

/// Malformed when the text is not a JSON object or a key has the wrong type or is out of the range
/// of the type; the values themselves are not judged. A key that must be there and is not counts
/// as malformed too (sizes of the model).
[[nodiscard]] Result<HfConfig> parseHfConfig(std::string_view json);
[[nodiscard]] std::string writeHfConfig(const HfConfig& config);

/// generation_config.json: what to stop at and how to draw.
struct HfGeneration
{
    std::optional<std::int64_t> bosToken;
    std::vector<std::int64_t> eosTokens;
    std::optional<std::int64_t> padToken;
    double temperature = 1.0;
    double topP = 1.0;
};
[[nodiscard]] Result<HfGeneration> parseHfGeneration(std::string_view json);
[[nodiscard]] std::string writeHfGeneration(const HfGeneration& generation);

/// adapter_config.json of peft (LoraConfig); which of it can be run is the engine's decision.
struct HfAdapter
{
    std::string baseModel; ///< base_model_name_or_path; empty: not told
    std::string peftType = "LORA";
    std::string taskType = "CAUSAL_LM";
    std::int64_t rank = 0; ///< r
    double alpha = 0.0; ///< lora_alpha
    std::vector<std::string> targetModules; ///< or one word or pattern
    bool usesRslora = false; ///< scale alpha / sqrt(r)
    bool usesDora = false;
    bool isFanInFanOut = false;
    std::string bias = "none";
    bool hasPatterns = false; ///< rank_pattern or alpha_pattern say something
    bool savesModules = false; ///< modules_to_save names whole modules
};
/// Malformed as parseHfConfig; r and lora_alpha must be there.
[[nodiscard]] Result<HfAdapter> parseHfAdapter(std::string_view json);
[[nodiscard]] std::string writeHfAdapter(const HfAdapter& adapter);

/// tokenizer.json of a byte-level BPE tokenizer.
struct HfTokenizer
{
    /// Token of each id; byte tokens and merges as raw bytes (the byte-to-letter alphabet of
    /// byte-level BPE is undone), special tokens as their text. Ids without a token are empty.
    std::vector<std::string> tokens;
    std::array<std::int32_t, 256> byteIds {}; ///< id of each single byte
    std::map<std::string, std::int32_t> specials; ///< added tokens by text
    std::size_t mergeCount = 0; ///< 0: every byte is a token of its own
};

/// Refused, with the reason, when the file is another kind than byte-level BPE or lacks a byte.
/// At most 2^20 tokens.
[[nodiscard]] Result<HfTokenizer> parseHfTokenizer(std::string_view json);
/// tokenizer.json where ids 0-255 are the bytes and `specials` follow from id 256 on.
[[nodiscard]] std::string writeByteTokenizer(const std::vector<std::string>& specials);
/// tokenizer_config.json to go with it; empty names are left out.
[[nodiscard]] std::string writeTokenizerConfig(
    std::string_view bos, std::string_view eos, std::string_view pad, std::int64_t maxLength);

/// model.safetensors.index.json: tensor name to file name of a sharded folder. File names with a
/// path separator are refused.
[[nodiscard]] Result<std::map<std::string, std::string>> parseHfIndex(std::string_view json);

} // namespace desk
