// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/core/starter.h"

#include <array>

// The assembler copies the files into the object; CMake lists them as dependencies of this source.
#define DESK_EMBED(symbol, file)                                                                   \
    __asm__(".section .rodata\n"                                                                   \
            ".balign 64\n"                                                                         \
            ".globl deskStarter_" #symbol "\n"                                                     \
            ".globl deskStarterEnd_" #symbol "\n"                                                  \
            "deskStarter_" #symbol ":\n"                                                           \
            ".incbin \"" DESK_STARTER_DIR "/" file "\"\n"                                          \
            "deskStarterEnd_" #symbol ":\n"                                                        \
            ".byte 0\n"                                                                            \
            ".previous\n");                                                                        \
    extern "C" const char deskStarter_##symbol[];                                                  \
    extern "C" const char deskStarterEnd_##symbol[]

DESK_EMBED(config, "desk-tiny/config.json");
DESK_EMBED(generation, "desk-tiny/generation_config.json");
DESK_EMBED(weights, "desk-tiny/model.safetensors");
DESK_EMBED(tokenizer, "desk-tiny/tokenizer.json");
DESK_EMBED(tokenizerConfig, "desk-tiny/tokenizer_config.json");
DESK_EMBED(sample, "sample.txt");
DESK_EMBED(sampleEval, "sample_eval.txt");
DESK_EMBED(demo, "demo_metrics.jsonl");

namespace desk {
namespace {
    std::string_view starterView(const char* begin, const char* end) noexcept
    {
        return { begin, static_cast<std::size_t>(end - begin) };
    }
} // namespace

std::span<const StarterFile> starterModelFiles() noexcept
{
    static const std::array files {
        StarterFile { "config.json", starterView(deskStarter_config, deskStarterEnd_config) },
        StarterFile { "generation_config.json",
            starterView(deskStarter_generation, deskStarterEnd_generation) },
        StarterFile {
            "model.safetensors", starterView(deskStarter_weights, deskStarterEnd_weights) },
        StarterFile {
            "tokenizer.json", starterView(deskStarter_tokenizer, deskStarterEnd_tokenizer) },
        StarterFile { "tokenizer_config.json",
            starterView(deskStarter_tokenizerConfig, deskStarterEnd_tokenizerConfig) },
    };
    return files;
}

std::string_view starterSampleText() noexcept
{
    return starterView(deskStarter_sample, deskStarterEnd_sample);
}

std::string_view starterSampleEvalText() noexcept
{
    return starterView(deskStarter_sampleEval, deskStarterEnd_sampleEval);
}

std::string_view starterDemoLedger() noexcept
{
    return starterView(deskStarter_demo, deskStarterEnd_demo);
}

} // namespace desk
