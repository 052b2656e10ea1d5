// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/recipe_codec.h"

#include "services/codecs/json_read.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace desk {
namespace {

    constexpr std::array<std::string_view, 27> kRecipeKeys { "name", "base_model", "lora_rank",
        "lora_alpha", "loss_fn", "loss_config", "init_from_checkpoint", "warm_start_from_adapter",
        "data", "batch_size", "max_seq_len", "epochs", "max_steps", "learning_rate", "schedule",
        "warmup_steps", "weight_decay", "grad_clip_norm", "grad_accumulation_normalization",
        "eval_data", "eval_every", "state_save_every", "sampler_save_every", "checkpoint_type",
        "ttl_seconds", "deployment", "seed" };

    std::size_t editDistance(std::string_view a, std::string_view b)
    {
        std::vector<std::size_t> row(b.size() + 1);
        for (std::size_t j = 0; j <= b.size(); ++j)
            row[j] = j;
        for (std::size_t i = 1; i <= a.size(); ++i) {
            std::size_t diagonal = row[0];
            row[0] = i;
            for (std::size_t j = 1; j <= b.size(); ++j) {
                const std::size_t above = row[j];
                const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                row[j] = std::min({ above + 1, row[j - 1] + 1, change });
                diagonal = above;
            }
        }
        return row[b.size()];
    }

    std::string_view nearestRecipeKey(std::string_view key)
    {
        return *std::min_element(
            kRecipeKeys.begin(), kRecipeKeys.end(), [key](std::string_view a, std::string_view b) {
                return editDistance(key, a) < editDistance(key, b);
            });
    }

    Error recipeError(std::string message)
    {
        return { Error::Code::Malformed, "the recipe cannot be used: " + std::move(message),
            "no training was started", "correct the recipe and start again", {} };
    }

    const char* scheduleWord(LearningRateSchedule schedule)
    {
        switch (schedule) {
        case LearningRateSchedule::Constant:
            return "constant";
        case LearningRateSchedule::Linear:
            return "linear";
        case LearningRateSchedule::Cosine:
            break;
        }
        return "cosine";
    }

    /// Reads the fields of one recipe and keeps the first complaint.
    class RecipeReader
    {
    public:
        explicit RecipeReader(const Json& object)
            : m_object(object)
        {
        }
        [[nodiscard]] const std::optional<Error>& problem() const { return m_problem; }

        void text(const char* key, std::string& into)
        {
            const Json* value = field(key);
            if (value == nullptr)
                return;
            if (!value->is_string() || value->get_ref<const std::string&>().size() > 4096)
                return complain(std::string("`") + key + "` must be a text");
            into = value->get<std::string>();
        }
        void word(
            const char* key, std::string& into, std::initializer_list<std::string_view> allowed)
        {
            std::string given = into;
            text(key, given);
            if (given == into)
                return;
            if (std::find(allowed.begin(), allowed.end(), given) == allowed.end()) {
                std::string words;
                for (const std::string_view item : allowed)
                    words.append(words.empty() ? "" : ", ").append(item);
                return complain(std::string("`") + key + "` must be one of " + words);
            }
            into = given;
        }
        void number(const char* key, double& into, double least, double most)
        {
            const Json* value = field(key);
            if (value == nullptr)
                return;
            const double given = value->is_number() ? value->get<double>() : std::nan("");
            if (!(given >= least && given <= most))
                return complain(std::string("`") + key + "` must be a number from "
                    + Json(least).dump() + " to " + Json(most).dump());
            into = given;
        }
        template <class T>
        void integer(const char* key, T& into, std::int64_t least, std::int64_t most)
        {
            const Json* value = field(key);
            if (value == nullptr)
                return;
            const auto given = readInt(m_object, { key });
            if (!value->is_number() || !given || *given < least || *given > most)
                return complain(std::string("`") + key + "` must be a whole number from "
                    + std::to_string(least) + " to " + std::to_string(most));
            into = static_cast<T>(*given);
        }
        [[nodiscard]] bool has(const char* key) const { return field(key) != nullptr; }
        void complain(std::string message)
        {
            if (!m_problem)
                m_problem = recipeError(std::move(message));
        }

        [[nodiscard]] const Json* field(const char* key) const
        {
            return findField(m_object, { key });
        }

    private:
        const Json& m_object;
        std::optional<Error> m_problem;
    };

    constexpr std::int64_t kManySteps = 100'000'000;
    constexpr std::size_t kMaxLossKeys = 32;

    void readSteps(RecipeReader& in, Recipe& recipe)
    {
        if (in.has("epochs") && in.has("max_steps"))
            in.complain("give `epochs` or `max_steps`, not both");
        if (in.has("epochs")) {
            recipe.epochs = 1;
            in.number("epochs", *recipe.epochs, 1e-6, 1e6);
        }
        if (in.has("max_steps")) {
            recipe.maxSteps = 1;
            in.integer("max_steps", *recipe.maxSteps, 1, kManySteps);
        }
        in.integer("eval_every", recipe.evalEvery, 0, kManySteps);
        in.integer("state_save_every", recipe.stateSaveEvery, 0, kManySteps);
        in.integer("sampler_save_every", recipe.samplerSaveEvery, 0, kManySteps);
    }

    /// What the run starts from, and whether that fits its kind.
    void readStart(RecipeReader& in, Recipe& recipe)
    {
        in.text("init_from_checkpoint", recipe.initFromCheckpoint);
        in.text("warm_start_from_adapter", recipe.warmStartFromAdapter);
        if (in.has("lora_alpha")) {
            recipe.loraAlpha = 32;
            in.number("lora_alpha", *recipe.loraAlpha, 1e-6, 1e6);
        }
        const bool isLora = recipe.loraRank > 0;
        if (!recipe.initFromCheckpoint.empty() && !recipe.warmStartFromAdapter.empty())
            in.complain("give `init_from_checkpoint` or `warm_start_from_adapter`, not both");
        if (!isLora && !recipe.warmStartFromAdapter.empty())
            in.complain("`warm_start_from_adapter` needs a `lora_rank` above 0");
        if (!isLora && recipe.checkpointType == "merged_base")
            in.complain("`checkpoint_type` merged_base needs a `lora_rank` above 0");
        if (!isLora && recipe.loraAlpha)
            in.complain("`lora_alpha` needs a `lora_rank` above 0");
    }

    void readLoss(RecipeReader& in, Recipe& recipe)
    {
        in.word("loss_fn", recipe.lossFn,
            { "cross_entropy", "importance_sampling", "ppo", "cispo", "dro", "dapo", "gspo" });
        const Json* config = in.field("loss_config");
        if (config == nullptr)
            return;
        if (!config->is_object() || config->size() > kMaxLossKeys)
            return in.complain("`loss_config` must be an object of at most 32 keys");
        for (const auto& [key, value] : config->items()) {
            if (value.is_number())
                recipe.lossNumbers[key] = value.get<double>();
            else if (value.is_string() && value.get_ref<const std::string&>().size() <= 4096)
                recipe.lossTexts[key] = value.get<std::string>();
            else
                return in.complain("`loss_config` holds numbers and texts; `" + key.substr(0, 100)
                    + "` is neither");
        }
    }

    void readRates(RecipeReader& in, Recipe& recipe)
    {
        in.number("learning_rate", recipe.learningRate, 0, 10);
        in.integer("warmup_steps", recipe.warmupSteps, 0, kManySteps);
        in.number("weight_decay", recipe.weightDecay, 0, 100);
        in.number("grad_clip_norm", recipe.gradClipNorm, 0, 1e12);
        std::string schedule = scheduleWord(recipe.schedule);
        in.word("schedule", schedule, { "constant", "linear", "cosine" });
        recipe.schedule = schedule == "constant" ? LearningRateSchedule::Constant
            : schedule == "linear"               ? LearningRateSchedule::Linear
                                                 : LearningRateSchedule::Cosine;
        in.word("grad_accumulation_normalization", recipe.gradAccumulationNormalization,
            { "none", "num_loss_tokens", "num_sequences" });
    }

} // namespace

std::string encodeRecipe(const Recipe& recipe, int indent)
{
    Json out;
    putText(out, "name", recipe.name);
    putText(out, "base_model", recipe.baseModel);
    out["lora_rank"] = recipe.loraRank;
    putKnown(out, "lora_alpha", recipe.loraAlpha);
    putText(out, "data", recipe.data);
    out["batch_size"] = recipe.batchSize;
    out["max_seq_len"] = recipe.maxSeqLen;
    putKnown(out, "epochs", recipe.epochs);
    putKnown(out, "max_steps", recipe.maxSteps);
    out["learning_rate"] = recipe.learningRate;
    out["schedule"] = scheduleWord(recipe.schedule);
    out["warmup_steps"] = recipe.warmupSteps;
    out["weight_decay"] = recipe.weightDecay;
    out["grad_clip_norm"] = recipe.gradClipNorm;
    out["grad_accumulation_normalization"] = recipe.gradAccumulationNormalization;
    out["loss_fn"] = recipe.lossFn;
    for (const auto& [key, value] : recipe.lossNumbers)
        out["loss_config"][key] = value;
    for (const auto& [key, value] : recipe.lossTexts)
        out["loss_config"][key] = value;
    putText(out, "init_from_checkpoint", recipe.initFromCheckpoint);
    putText(out, "warm_start_from_adapter", recipe.warmStartFromAdapter);
    putText(out, "eval_data", recipe.evalData);
    out["eval_every"] = recipe.evalEvery;
    out["state_save_every"] = recipe.stateSaveEvery;
    out["sampler_save_every"] = recipe.samplerSaveEvery;
    putText(out, "checkpoint_type", recipe.checkpointType);
    putKnown(out, "ttl_seconds", recipe.ttlSeconds);
    putText(out, "deployment", recipe.deployment);
    out["seed"] = recipe.seed;
    return toText(out, indent);
}

Result<Recipe> decodeRecipe(std::string_view text)
{
    const auto object = parseObject(text, "recipe", JsonLimits { std::size_t { 1 } << 20 });
    if (!object)
        return recipeError(object.error().message);
    for (const auto& [key, value] : object->items())
        if (std::find(kRecipeKeys.begin(), kRecipeKeys.end(), key) == kRecipeKeys.end())
            return recipeError("it has no key `" + key.substr(0, 100) + "`; the nearest is `"
                + std::string(nearestRecipeKey(key.substr(0, 100))) + "`");
    Recipe recipe;
    RecipeReader in(*object);
    in.text("name", recipe.name);
    in.text("base_model", recipe.baseModel);
    in.text("data", recipe.data);
    in.text("eval_data", recipe.evalData);
    in.text("deployment", recipe.deployment);
    in.word("checkpoint_type", recipe.checkpointType, { "base", "delta", "merged_base" });
    in.integer("lora_rank", recipe.loraRank, 0, 1024);
    readStart(in, recipe);
    readLoss(in, recipe);
    in.integer("batch_size", recipe.batchSize, 1, 4096);
    in.integer("max_seq_len", recipe.maxSeqLen, 2, 1'000'000);
    in.integer("seed", recipe.seed, 0, std::numeric_limits<std::int64_t>::max());
    if (in.has("ttl_seconds")) {
        recipe.ttlSeconds = 0;
        in.integer("ttl_seconds", *recipe.ttlSeconds, 1, 10'000'000'000);
    }
    readSteps(in, recipe);
    readRates(in, recipe);
    if (in.problem())
        return *in.problem();
    return recipe;
}

} // namespace desk
