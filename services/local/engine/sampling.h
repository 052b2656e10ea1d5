// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace desk::local {

/// A token as it is drawn.
struct SampledToken
{
    std::int32_t token = 0;
    float logprob = 0.0F; ///< under the undistorted model (temperature 1, nothing cut)
    float samplingLogprob = 0.0F; ///< of the distribution it was drawn from; 0 when greedy
};

struct SamplingParams
{
    int maxTokens = 16; ///< clipped to what the positions of the model leave
    double temperature = 1.0; ///< 0: the most probable token, lowest id first
    double topP = 1.0; ///< in (0, 1]; of what top-k and temperature left
    int topK = 0; ///< 0: off
    std::uint64_t seed = 0; ///< equal seeds draw equal tokens from equal weights, on any thread
    std::vector<std::int32_t> stopTokens; ///< end the text
    std::vector<std::vector<std::int32_t>> stopSequences; ///< end the text when it ends so
    bool stopsAtEos = true;
    /// The token or sequence that ended the text is part of the tokens (as trainer.md 7.2 wants).
    bool keepsStop = false;

    int topLogprobs = 0; ///< most probable tokens per drawn token; 0: none, at most kMaxTopLogprobs
    bool wantsPromptLogprobs = false;
    int promptLogprobsLastN = 0; ///< only those of the last n prompt tokens; 0: all
    int promptTopLogprobs = 0; ///< most probable tokens per prompt position; 0: none
    /// (prompt size - 1) x promptTargetCandidates tokens; row i is scored at position i + 1; -1:
    /// not.
    std::vector<std::int64_t> promptTargets;
    int promptTargetCandidates = 0;
    int promptAltTokens = 0; ///< tokens drawn per prompt position after the first; 0: none

    /// Sees every drawn token in the calling thread before the next one is drawn, those of a stop
    /// sequence as they come, a stop token only with keepsStop; false ends the text with Stop and
    /// that token as its last one.
    std::function<bool(const SampledToken&)> onToken;
};

inline constexpr int kMaxTopLogprobs = 256;

enum class FinishReason
{
    Stop,
    Length
};

/// Most probable tokens of positions, best first, `count` each; a position that was not scored has
/// tokens 0 and log-probabilities -99999.
struct TopLogprobs
{
    int count = 0;
    std::vector<std::int32_t> tokens;
    std::vector<float> logprobs;
};

struct Completion
{
    std::vector<std::int32_t> tokens;
    std::vector<float> logprobs; ///< of the tokens under the undistorted model
    std::vector<float> samplingLogprobs; ///< of the distribution they were drawn from
    TopLogprobs top; ///< of the tokens' positions, undistorted
    FinishReason finishReason = FinishReason::Length;
    double seconds = 0.0;

    /// One per prompt token, under the undistorted model; NaN where there is none (the first, and
    /// those before the last n). Empty unless asked for; so are the following ones.
    std::vector<float> promptLogprobs;
    TopLogprobs promptTop; ///< one row per prompt token, the first empty
    std::vector<float> promptTargetLogprobs; ///< shape of promptTargets; NaN for -1
    std::vector<std::int32_t> promptAltTokens; ///< (prompt size - 1) x promptAltTokens
    std::vector<float> promptAltLogprobs;
};

} // namespace desk::local
