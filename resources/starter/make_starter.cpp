// SPDX-License-Identifier: GPL-3.0-or-later
// desk-starter: makes the starting weights of desk-tiny and the recorded demo run. RECIPE.md says
// how.
//   desk-starter corpus DIR SEED KIB OUT       texts of DIR plus KIB of text from its grammar
//   desk-starter train CORPUS OUT STEPS        pre-training from seed-made weights
//   desk-starter tune MODEL TEXT EVAL STEPS LR OUT   fine-tuning, one JSON line a step into OUT
//   desk-starter write MODEL PROMPT SEED       a completion

#include "services/local/engine/engine.h"
#include "services/local/engine/inference_model.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <sstream>

namespace {
namespace fs = std::filesystem;
using namespace desk::local;

[[noreturn]] void stop(const std::string& why)
{
    std::fprintf(stderr, "desk-starter: %s\n", why.c_str());
    std::exit(1);
}

template <class T>
T need(desk::Result<T> result)
{
    if (!result)
        stop(result.error().message);
    return std::move(*result);
}

std::string readFile(const fs::path& path)
{
    std::ifstream in(path, std::ios::binary);
    if (!in)
        stop("cannot read " + path.string());
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

// A grammar: lines "name: one | two | three" (a rule may go on in further lines of its name).
// In an alternative, {rule} is a fresh choice, {rule#k} the same choice in the whole document, and
// {rule#k.n} its n-th part, parts being separated by '~'. {^…} begins with a capital.
class Grammar
{
public:
    explicit Grammar(const std::string& text)
    {
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);) {
            const auto colon = line.find(": ");
            if (line.empty() || line[0] == '#' || colon == std::string::npos)
                continue;
            auto& rule = m_rules[line.substr(0, colon)];
            std::size_t at = colon + 2;
            while (at <= line.size()) {
                const auto bar = std::min(line.find(" | ", at), line.size());
                rule.push_back(line.substr(at, bar - at));
                at = bar + 3;
            }
        }
    }
    std::string document(std::mt19937_64& random)
    {
        m_bound.clear();
        m_used.clear();
        return withArticles(expand("{document}", random, 0));
    }

private:
    // "a old" becomes "an old".
    static std::string withArticles(const std::string& text)
    {
        std::string out;
        for (std::size_t i = 0; i < text.size(); ++i) {
            out += text[i];
            const bool isArticle = (text[i] == 'a' || text[i] == 'A')
                && (i == 0 || text[i - 1] == ' ' || text[i - 1] == '"' || text[i - 1] == '\n');
            if (isArticle && i + 2 < text.size() && text[i + 1] == ' '
                && std::string("aeiou").find(text[i + 2]) != std::string::npos)
                out += 'n';
        }
        return out;
    }

    std::string choose(const std::string& name, std::mt19937_64& random)
    {
        const auto rule = m_rules.find(name);
        if (rule == m_rules.end())
            stop("the grammar has no rule " + name);
        return rule->second[random() % rule->second.size()];
    }

    // Two bindings of one rule differ where the rule has enough alternatives.
    std::string bind(const std::string& key, const std::string& rule, std::mt19937_64& random)
    {
        const auto known = m_bound.find(key);
        if (known != m_bound.end())
            return known->second;
        std::string chosen = choose(rule, random);
        for (int i = 0; i < 20 && m_used.count(rule + "=" + chosen) != 0; ++i)
            chosen = choose(rule, random);
        m_used[rule + "=" + chosen] = 1;
        return m_bound[key] = chosen;
    }

    static std::string part(const std::string& text, std::size_t index)
    {
        std::size_t at = 0;
        for (; index > 0; --index) {
            const auto next = text.find('~', at);
            if (next == std::string::npos)
                return text.substr(at);
            at = next + 1;
        }
        return text.substr(at, text.find('~', at) - at);
    }

    std::string slot(std::string slotText, std::mt19937_64& random, int depth)
    {
        const bool isCapital = !slotText.empty() && slotText[0] == '^';
        if (isCapital)
            slotText.erase(0, 1);
        std::size_t index = 0;
        if (const auto dot = slotText.find('.'); dot != std::string::npos) {
            index = static_cast<std::size_t>(std::atoi(slotText.c_str() + dot + 1));
            slotText.resize(dot);
        }
        const std::string rule = slotText.substr(0, slotText.find('#'));
        const bool isBound = rule.size() < slotText.size();
        std::string text = isBound ? bind(slotText, rule, random) : choose(rule, random);
        text = expand(part(text, index), random, depth + 1);
        if (isCapital && !text.empty() && text[0] >= 'a' && text[0] <= 'z')
            text[0] = static_cast<char>(text[0] - 'a' + 'A');
        return text;
    }

    std::string expand(const std::string& text, std::mt19937_64& random, int depth)
    {
        if (depth > 30)
            stop("the grammar does not end: " + text);
        std::string out;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '{') {
                const auto close = text.find('}', i);
                out += slot(text.substr(i + 1, close - i - 1), random, depth);
                i = close;
            } else if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == 'n') {
                out += '\n';
                ++i;
            } else {
                out += text[i];
            }
        }
        return out;
    }

    std::map<std::string, std::vector<std::string>> m_rules;
    std::map<std::string, std::string> m_bound;
    std::map<std::string, int> m_used;
};

std::vector<std::string> documentsOf(const std::string& text)
{
    std::vector<std::string> documents;
    std::size_t at = 0;
    while (at < text.size()) {
        const auto end = std::min(text.find("\n\n", at), text.size());
        if (end > at)
            documents.push_back(text.substr(at, end - at));
        at = end + 2;
    }
    return documents;
}

std::vector<std::string> handWritten(const fs::path& folder)
{
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder))
        if (entry.path().extension() == ".txt")
            files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    std::vector<std::string> documents;
    for (const auto& file : files)
        for (const auto& document : documentsOf(readFile(file)))
            documents.push_back(document);
    return documents;
}

template <class T>
void shuffle(std::vector<T>& items, std::mt19937_64& random)
{
    for (std::size_t i = items.size(); i > 1; --i)
        std::swap(items[i - 1], items[random() % i]);
}

void writeDocuments(const std::vector<std::string>& documents, const fs::path& path)
{
    std::ofstream file(path, std::ios::binary);
    for (const auto& document : documents)
        file << document << "\n\n";
    if (!file.flush())
        stop("cannot write " + path.string());
}

int makeCorpus(const fs::path& folder, std::uint64_t seed, std::size_t kib, const fs::path& out)
{
    std::mt19937_64 random(seed);
    Grammar grammar(readFile(folder / "grammar.rules"));
    // Every 15th text written by hand and some made ones are never trained on.
    std::vector<std::string> once;
    std::vector<std::string> heldOut;
    const auto byHand = handWritten(folder);
    for (std::size_t i = 0; i < byHand.size(); ++i)
        (i % 15 == 14 ? heldOut : once).push_back(byHand[i]);
    std::size_t written = 0;
    for (const auto& document : once)
        written += document.size() + 2;
    std::vector<std::string> documents;
    std::size_t made = 0;
    while (made < kib * 1024) {
        documents.push_back(grammar.document(random));
        made += documents.back().size() + 2;
    }
    for (int i = 0; i < 12; ++i)
        heldOut.push_back(grammar.document(random));
    // More copies of the texts written by hand would be learned by heart.
    constexpr int kCopies = 6;
    for (int copy = 0; copy < kCopies; ++copy)
        documents.insert(documents.end(), once.begin(), once.end());
    shuffle(documents, random);
    shuffle(heldOut, random);
    std::printf("%zu documents, %zu bytes by hand, %zu from the grammar\n", documents.size(),
        written, made);
    writeDocuments(documents, out);
    writeDocuments(heldOut, out.string() + ".heldout");
    return 0;
}

Datum windowOf(const std::string& text, std::size_t at, std::size_t length)
{
    Datum datum;
    for (std::size_t i = at; i < at + length; ++i) {
        datum.tokens.push_back(static_cast<unsigned char>(text[i]));
        datum.loss.targets.push_back(static_cast<unsigned char>(text[i + 1]));
    }
    return datum;
}

// 1,024 tokens a step, in windows of 128, 256 or 512.
std::vector<Datum> drawBatch(const std::string& text, std::mt19937_64& random)
{
    const std::size_t length =
        std::min<std::size_t>(std::size_t { 128 } << (random() % 3), text.size() - 1);
    std::vector<Datum> batch;
    for (std::size_t tokens = 0; tokens + length <= 1024; tokens += length)
        batch.push_back(windowOf(text, random() % (text.size() - length), length));
    return batch;
}

double meanLoss(Engine& engine, const std::string& text)
{
    std::vector<Datum> data;
    for (std::size_t at = 0; at + 257 <= text.size() && data.size() < 64; at += 256)
        data.push_back(windowOf(text, at, 256));
    const auto result = need(engine.forward(data, Loss {}, {}, {}));
    return result.lossSum / static_cast<double>(result.tokens);
}

double trainStep(
    Engine& engine, const std::vector<Datum>& batch, const AdamParams& params, OptimResult& step)
{
    ForwardOptions options;
    options.backward = true;
    const auto result = need(engine.forward(batch, Loss {}, options, {}));
    step = need(engine.optimStep(params, GradNormalization::NumLossTokens));
    return result.lossSum / static_cast<double>(result.tokens);
}

void replaceFolder(
    const fs::path& folder, const std::function<desk::Status(const fs::path&)>& write)
{
    fs::remove_all(folder);
    need(write(folder));
}

int pretrain(const fs::path& corpusFile, const fs::path& out, int steps)
{
    const std::string training = readFile(corpusFile);
    const std::string heldOut = readFile(corpusFile.string() + ".heldout");
    auto engine = need(Engine::create(ModelConfig {}, 1, std::make_shared<ThreadPool>(2)));
    const fs::path state = out / "state";
    if (fs::exists(state))
        need(engine->loadState(state, true));
    std::printf("%llu parameters, from step %lld\n",
        static_cast<unsigned long long>(engine->parameterCount()),
        static_cast<long long>(engine->step()));
    AdamParams params;
    params.beta2 = 0.99;
    params.eps = 1e-9;
    params.weightDecay = 0.1;
    params.gradClipNorm = 1.0;
    const auto started = std::chrono::steady_clock::now();
    double sum = 0.0;
    for (auto s = engine->step(); s < steps; ++s) {
        std::mt19937_64 random(
            static_cast<std::uint64_t>(s) + 1000); // a resumed run goes on equally
        const double warm = std::min(1.0, (static_cast<double>(s) + 1.0) / 200.0);
        const double done = static_cast<double>(s) / steps;
        params.learningRate = warm * (1e-4 + 0.5 * 2.9e-3 * (1.0 + std::cos(3.14159265 * done)));
        OptimResult step;
        sum += trainStep(*engine, drawBatch(training, random), params, step);
        if ((s + 1) % 100 == 0) {
            std::printf("step %lld loss %.4f lr %.5f seconds %.0f\n", static_cast<long long>(s + 1),
                sum / 100.0, params.learningRate,
                std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
            sum = 0.0;
            std::fflush(stdout);
        }
        if ((s + 1) % 500 == 0 || s + 1 == steps) {
            replaceFolder(state, [&](const fs::path& to) { return engine->saveState(to); });
            replaceFolder(
                out / "desk-tiny", [&](const fs::path& to) { return engine->exportHf(to); });
            std::printf("step %lld held-out loss %.4f\n", static_cast<long long>(s + 1),
                meanLoss(*engine, heldOut));
        }
    }
    return 0;
}

int tune(const fs::path& model, const fs::path& textFile, const fs::path& evalFile, int steps,
    double learningRate, const fs::path& out)
{
    const std::string text = readFile(textFile);
    const std::string heldOut = readFile(evalFile);
    auto engine = need(Engine::open(model, std::make_shared<ThreadPool>(2)));
    std::ofstream ledger(out, std::ios::binary);
    std::mt19937_64 random(7);
    AdamParams params;
    params.gradClipNorm = 1.0;
    for (int s = 1; s <= steps; ++s) {
        const auto started = std::chrono::steady_clock::now();
        const double warm = std::min(1.0, s / 20.0);
        params.learningRate =
            learningRate * warm * (0.1 + 0.9 * 0.5 * (1.0 + std::cos(3.14159265 * s / steps)));
        OptimResult step;
        const double loss = trainStep(*engine, drawBatch(text, random), params, step);
        const double seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
        char line[256];
        int length = std::snprintf(line, sizeof line,
            "{\"step\":%d,\"train/loss\":%.4f,\"optim/lr\":%.3g,\"optim/grad_norm\":%.4f,"
            "\"perf/tokens_per_second\":%.0f",
            s, loss, params.learningRate, step.gradNorm, 1024.0 / seconds);
        ledger.write(line, length);
        if (s % 25 == 0 || s == 1)
            ledger << ",\"eval/loss\":" << std::round(1e4 * meanLoss(*engine, heldOut)) / 1e4;
        ledger << "}\n";
        if (s == 1 || s % 50 == 0)
            std::printf("step %d loss %.4f eval %.4f changed %llu of %llu\n", s, loss,
                meanLoss(*engine, heldOut), static_cast<unsigned long long>(step.changedParameters),
                static_cast<unsigned long long>(engine->parameterCount()));
    }
    return ledger.good() ? 0 : 1;
}

int write(const fs::path& folder, const std::string& prompt, std::uint64_t seed)
{
    const auto model = need(InferenceModel::open(folder));
    SamplingParams params;
    params.maxTokens = 300;
    params.temperature = 0.7;
    params.topP = 0.95;
    params.seed = seed;
    const auto completion = need(model->complete(prompt, params, {}, {}));
    std::printf("%s%s\n", prompt.c_str(), completion.text.c_str());
    return 0;
}
} // namespace

int main(int argc, char** argv)
{
    const std::vector<std::string> a(argv + 1, argv + argc);
    const auto is = [&](const char* verb, std::size_t count) {
        return a.size() == count && a[0] == verb;
    };
    if (is("corpus", 5))
        return makeCorpus(a[1], std::stoull(a[2]), std::stoull(a[3]), a[4]);
    if (is("train", 4))
        return pretrain(a[1], a[2], std::stoi(a[3]));
    if (is("tune", 7))
        return tune(a[1], a[2], a[3], std::stoi(a[4]), std::stod(a[5]), a[6]);
    if (is("write", 4))
        return write(a[1], a[2], std::stoull(a[3]));
    stop("usage: corpus DIR SEED KIB OUT | train CORPUS OUT STEPS | tune MODEL TEXT EVAL STEPS LR "
         "OUT | write MODEL PROMPT SEED");
}
