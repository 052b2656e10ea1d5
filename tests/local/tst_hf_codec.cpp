// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/hf_codec.h"
#include "services/local/engine/model_config.h"
#include "services/local/engine/tokenizer.h"
#include "tests/support/check.h"

using namespace desk;

namespace {
HfConfig exampleConfig()
{
    HfConfig c;
    c.vocabSize = 300;
    c.hiddenSize = 64;
    c.intermediateSize = 96;
    c.layers = 2;
    c.heads = 4;
    c.kvHeads = 2;
    c.headDim = 16;
    c.maxPositions = 256;
    c.bosToken = 256;
    c.eosTokens = { 257, 258 };
    return c;
}

std::string changed(std::string text, const std::string& from, const std::string& to)
{
    const auto at = text.find(from);
    CHECK(at != std::string::npos);
    return text.replace(at, from.size(), to);
}
} // namespace

TEST(config_isReadBackAsWritten)
{
    const auto back = parseHfConfig(writeHfConfig(exampleConfig()));
    CHECK(back.has_value());
    CHECK_EQUAL(back->architecture, std::string("Qwen3ForCausalLM"));
    CHECK_EQUAL(back->hiddenSize, std::int64_t { 64 });
    CHECK_EQUAL(back->headDim, std::int64_t { 16 });
    CHECK_EQUAL(back->dtype, std::string("bfloat16"));
    CHECK(back->tiesEmbeddings);
    CHECK(back->bosToken == 256);
    CHECK(back->eosTokens == (std::vector<std::int64_t> { 257, 258 }));
    CHECK(!back->padToken.has_value());
    CHECK(back->ropeScaling.empty() && back->quantization.empty());
}

TEST(config_readsTheNewerSpellings)
{
    const auto c = parseHfConfig(
        R"({"architectures":["Qwen3ForCausalLM"],"model_type":"qwen3","dtype":"float32",
        "vocab_size":10,"hidden_size":8,"intermediate_size":8,"num_hidden_layers":1,
        "num_attention_heads":2,"max_position_embeddings":4,"tie_word_embeddings":true,
        "rope_parameters":{"rope_theta":5000.0,"rope_type":"default"},"eos_token_id":3})");
    CHECK(c.has_value());
    CHECK_EQUAL(c->dtype, std::string("float32"));
    CHECK_EQUAL(c->ropeTheta, 5000.0);
    CHECK(c->ropeScaling.empty());
    CHECK_EQUAL(c->headDim, std::int64_t { 4 });
    CHECK_EQUAL(c->kvHeads, std::int64_t { 2 });
    CHECK(c->eosTokens == std::vector<std::int64_t> { 3 });
}

TEST(config_saysWhatIsWrong)
{
    const std::string good = writeHfConfig(exampleConfig());
    const auto messageOf = [](const std::string& text) {
        const auto parsed = parseHfConfig(text);
        CHECK(!parsed.has_value());
        CHECK(parsed.error().code == Error::Code::Malformed);
        return parsed.error().message;
    };
    CHECK_EQUAL(messageOf("[]"), std::string("config.json: is not a JSON object"));
    CHECK_EQUAL(messageOf("{\"a\":"), std::string("config.json: is not a JSON object"));
    CHECK_EQUAL(messageOf(changed(good, "\"hidden_size\"", "\"hiddensize\"")),
        std::string("config.json: hidden_size is missing"));
    CHECK_EQUAL(messageOf(changed(good, "\"vocab_size\": 300", "\"vocab_size\": 1.5")),
        std::string("config.json: vocab_size must be a whole number"));
    CHECK_EQUAL(messageOf(changed(good, "\"vocab_size\": 300", "\"vocab_size\": 1e30")),
        std::string("config.json: vocab_size must be a whole number"));
    CHECK_EQUAL(
        messageOf(changed(good, "\"vocab_size\": 300", "\"vocab_size\": 18446744073709551615")),
        std::string("config.json: vocab_size must be a whole number"));
    CHECK_EQUAL(messageOf(changed(good, "\"silu\"", "7")),
        std::string("config.json: hidden_act must be a text"));
    CHECK(!parseHfConfig(std::string(5000, '[')).has_value());
}

TEST(anotherArchitecture_isReadAndRefusedByName)
{
    const auto c = parseHfConfig(R"({"architectures":["MambaForCausalLM"],"model_type":"mamba"})");
    CHECK(c.has_value());
    const auto model = desk::local::toModelConfig(*c);
    CHECK(!model.has_value());
    CHECK(model.error().message.find("MambaForCausalLM") != std::string::npos);
}

TEST(tooManyParameters_areRefused)
{
    HfConfig c = exampleConfig();
    c.vocabSize = 151936;
    c.hiddenSize = 1024;
    c.intermediateSize = 3072;
    c.layers = 28;
    c.heads = 16;
    c.kvHeads = 8;
    c.headDim = 128;
    const auto model = desk::local::toModelConfig(c);
    CHECK(!model.has_value());
    // The count of Qwen3-0.6B.
    CHECK_EQUAL(model.error().message,
        std::string("The model cannot be run here: it has 596049920 parameters, more than "
                    "64000000"));
}

TEST(generation_isReadBackAsWritten)
{
    HfGeneration g;
    g.eosTokens = { 257 };
    g.temperature = 0.5;
    const auto back = parseHfGeneration(writeHfGeneration(g));
    CHECK(back.has_value());
    CHECK(back->eosTokens == std::vector<std::int64_t> { 257 });
    CHECK_EQUAL(back->temperature, 0.5);
    CHECK_EQUAL(back->topP, 1.0);
}

TEST(byteTokenizer_mapsEveryByteToItself)
{
    const auto tokenizer = parseHfTokenizer(writeByteTokenizer({ "<|bos|>", "<|eos|>" }));
    CHECK(tokenizer.has_value());
    CHECK_EQUAL(tokenizer->tokens.size(), std::size_t { 258 });
    CHECK_EQUAL(tokenizer->mergeCount, std::size_t { 0 });
    for (std::size_t byte = 0; byte < 256; ++byte) {
        CHECK_EQUAL(tokenizer->byteIds[byte], static_cast<std::int32_t>(byte));
        CHECK_EQUAL(tokenizer->tokens[byte], std::string(1, static_cast<char>(byte)));
    }
    CHECK_EQUAL(tokenizer->specials.at("<|eos|>"), 257);
    const auto text = desk::local::Tokenizer::parse(writeByteTokenizer({ "<|bos|>" }));
    CHECK(text.has_value());
    CHECK_EQUAL(text->decode(std::vector<std::int32_t> { 'a', 256, 'b', 999, -1 }),
        std::string("ab")); // specials and unknown ids give no text
}

TEST(tokenizer_refusesOtherKinds_withTheReason)
{
    const std::string good = writeByteTokenizer({});
    const auto refusal = [](const std::string& text) {
        const auto parsed = parseHfTokenizer(text);
        CHECK(!parsed.has_value());
        return parsed.error().message;
    };
    CHECK_EQUAL(refusal(changed(good, "\"type\": \"BPE\"", "\"type\": \"Unigram\"")),
        std::string("tokenizer.json: its model is Unigram, not BPE"));
    CHECK_EQUAL(refusal(changed(good, "\"A\": 65", "\"A\": 66")),
        std::string("tokenizer.json: an id has two tokens"));
    CHECK_EQUAL(refusal(changed(good, "\"A\": 65", "\"AA\": 65")),
        std::string("tokenizer.json: not every byte has a token"));
    CHECK_EQUAL(refusal(changed(good, "\"A\": 65", "\"\xE2\x82\xAC\": 65")),
        std::string("tokenizer.json: its vocabulary is not byte-level"));
    CHECK_EQUAL(refusal(changed(good, "\"A\": 65", "\"A\": 99999999999")),
        std::string("tokenizer.json: an id is not a number below 2^20"));
    CHECK_EQUAL(refusal("{}"), std::string("tokenizer.json: has no model"));
    const auto merged =
        desk::local::Tokenizer::parse(changed(good, "\"merges\": []", "\"merges\": [\"a b\"]"));
    CHECK(!merged.has_value());
    CHECK(merged.error().code == Error::Code::Refused);
}

TEST(index_refusesPathsInFileNames)
{
    const auto index =
        parseHfIndex(R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
    CHECK(index.has_value());
    CHECK_EQUAL(index->at("b"), std::string("two.safetensors"));
    for (const char* name : { "../x", "/etc/passwd", "", "..", "a\\\\b" })
        CHECK(!parseHfIndex(std::string(R"({"weight_map":{"a":")") + name + "\"}}").has_value());
    CHECK(!parseHfIndex("{}").has_value());
}

TEST(adapterConfig_ofPeft_isRead)
{
    const auto adapter = parseHfAdapter(R"({"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 16,
        "lora_alpha": 32.5, "target_modules": ["v_proj", "q_proj"], "lora_dropout": 0.05,
        "base_model_name_or_path": "org/base", "bias": "none", "use_rslora": true,
        "modules_to_save": null, "rank_pattern": {}, "corda_config": {"x": 1}})");
    CHECK(adapter.has_value());
    CHECK_EQUAL(adapter->rank, std::int64_t { 16 });
    CHECK_EQUAL(adapter->alpha, 32.5);
    CHECK_EQUAL(adapter->baseModel, std::string("org/base"));
    CHECK((adapter->targetModules == std::vector<std::string> { "v_proj", "q_proj" }));
    CHECK(adapter->usesRslora && !adapter->usesDora);
    CHECK(!adapter->hasPatterns && !adapter->savesModules);
    CHECK_EQUAL(parseHfAdapter(R"({"r": 1, "lora_alpha": 1, "target_modules": "all-linear"})")
                    ->targetModules.front(),
        std::string("all-linear"));
}

TEST(adapterConfig_roundTrips)
{
    HfAdapter adapter;
    adapter.baseModel = "accounts/a/models/\"b\"";
    adapter.rank = 8;
    adapter.alpha = 16.0;
    adapter.targetModules = { "q_proj", "lm_head" };
    const std::string text = writeHfAdapter(adapter);
    CHECK(text.find("\"lora_alpha\": 16,") != std::string::npos);
    const auto back = parseHfAdapter(text);
    CHECK(back.has_value());
    CHECK_EQUAL(back->baseModel, adapter.baseModel);
    CHECK_EQUAL(back->alpha, 16.0);
    CHECK(back->targetModules == adapter.targetModules);
    CHECK_EQUAL(back->taskType, std::string("CAUSAL_LM"));
}

TEST(adapterConfig_refusesWrongShapes)
{
    const auto messageOf = [](const char* json) {
        const auto adapter = parseHfAdapter(json);
        CHECK(!adapter.has_value());
        CHECK(adapter.error().code == Error::Code::Malformed);
        return adapter.error().message;
    };
    CHECK_EQUAL(messageOf("[]"), std::string("adapter_config.json: is not a JSON object"));
    CHECK_EQUAL(
        messageOf(R"({"lora_alpha": 1})"), std::string("adapter_config.json: r is missing"));
    CHECK_EQUAL(
        messageOf(R"({"r": 1})"), std::string("adapter_config.json: lora_alpha is missing"));
    CHECK_EQUAL(messageOf(R"({"r": 1.5, "lora_alpha": 1})"),
        std::string("adapter_config.json: r must be a whole number"));
    CHECK_EQUAL(messageOf(R"({"r": 1, "lora_alpha": 1, "target_modules": [3]})"),
        std::string("adapter_config.json: target_modules must be a list of names"));
    CHECK_EQUAL(messageOf(R"({"r": 1, "lora_alpha": 1, "use_dora": "yes"})"),
        std::string("adapter_config.json: use_dora must be true or false"));
}

CHECK_MAIN()
