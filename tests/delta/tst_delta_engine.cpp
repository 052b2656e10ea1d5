// SPDX-License-Identifier: GPL-3.0-or-later
// The engine's promises beyond single vectors: chains, reports, cancel, guards around the output.

#include "services/delta/report_json.h"
#include "tests/delta/support.h"

#include <atomic>

using namespace desk;
using namespace desk::test;

namespace {

const fs::path kField = kData / "field";
constexpr std::size_t kCount = 1'500'000; // 3 MB: several chunks

struct Chain
{
    TempFolder folder;
    Chain()
    {
        writeModel(folder / "0.safetensors", kCount, 1, 0);
        writeModel(folder / "1.safetensors", kCount, 1, 1000);
        writeModel(folder / "2.safetensors", kCount, 1, 77);
        for (const auto* step : { "1", "2" }) {
            const auto old = std::string(step) == "1" ? "0.safetensors" : "1.safetensors";
            const auto made = openEngine()->diff(
                { folder / old, folder / (std::string(step) + ".safetensors"), delta(step), 3, 2 },
                {});
            CHECK(made);
        }
    }
    [[nodiscard]] fs::path delta(const std::string& step) const
    {
        return folder / ("d" + step + ".safetensors");
    }
    [[nodiscard]] fs::path model(const std::string& step) const
    {
        return folder / (step + ".safetensors");
    }
};

const TensorRow& rowNamed(const VerifyReport& report, const std::string& name)
{
    for (const auto& row : report.rows)
        if (row.name == name)
            return row;
    check::fail(__FILE__, __LINE__, "no row " + name);
}

} // namespace

TEST(a_chain_gives_the_last_weights)
{
    const Chain chain;
    const auto engine = openEngine();
    const auto applied = engine->apply({ chain.model("0"), { chain.delta("1"), chain.delta("2") },
                                           chain.folder / "out.safetensors", 2 },
        {});
    CHECK(applied);
    CHECK_EQUAL(readFile(chain.folder / "out.safetensors"), readFile(chain.model("2")));
    CHECK_EQUAL(applied->changed, kCount / 77 + 1); // base to newest, not summed over the steps
    const auto verified = engine->verify(
        { chain.model("0"), { chain.delta("1"), chain.delta("2") }, chain.model("2"), 2 }, {});
    CHECK(verified);
    CHECK_EQUAL(toString(verified->verdict), std::string("exact"));
    CHECK_EQUAL(verified->rows[0].changed, applied->changed);
    CHECK_EQUAL(
        verified->bytesDelta, fs::file_size(chain.delta("1")) + fs::file_size(chain.delta("2")));
}

TEST(a_chain_in_the_wrong_order_is_a_mismatch)
{
    const Chain chain;
    const auto engine = openEngine();
    const auto verified = engine->verify(
        { chain.model("0"), { chain.delta("2"), chain.delta("1") }, std::nullopt, 2 }, {});
    CHECK(verified);
    CHECK_EQUAL(toString(verified->verdict), std::string("mismatch"));
    CHECK_EQUAL(verified->firstMismatch->tensor, std::string("layers.0.weight"));
    CHECK(!verified->firstMismatch->element);
    const auto applied = engine->apply({ chain.model("0"), { chain.delta("2"), chain.delta("1") },
                                           chain.folder / "out.safetensors", 2 },
        {});
    CHECK(!applied && applied.error().code == Error::Code::Refused);
    CHECK(contains(applied.error().message, "not this delta's parent"));
    CHECK(!fs::exists(chain.folder / "out.safetensors"));
}

TEST(a_wrong_target_names_the_first_element)
{
    const Chain chain;
    auto bytes = readFile(chain.model("1"));
    const auto dataStart = SafetensorsFile::open(chain.model("1"))->header().dataStart;
    const std::uint64_t element = 700'001;
    bytes[dataStart + element * 2 + 1] = static_cast<char>(bytes[dataStart + element * 2 + 1] ^ 4);
    writeFile(chain.folder / "other.safetensors", bytes);
    const auto report = openEngine()->verify(
        { chain.model("0"), { chain.delta("1") }, chain.folder / "other.safetensors", 2 }, {});
    CHECK(report);
    CHECK_EQUAL(toString(report->verdict), std::string("mismatch"));
    CHECK_EQUAL(*report->firstMismatch->element, element);
    CHECK_EQUAL(*report->firstMismatch->byteOffset, element * 2 + 1);
    CHECK_EQUAL(report->firstMismatch->found.size(), 4U);
    CHECK(report->firstMismatch->found != report->firstMismatch->expected);
    CHECK_EQUAL(report->counts.exact, 1U);
}

TEST(reports_do_not_depend_on_threads_or_kernels)
{
    const Chain chain;
    const auto rowsOf = [&](unsigned threads) {
        auto report = openEngine()->compare({ chain.model("0"), chain.model("2"), threads }, {});
        CHECK(report);
        report->seconds = 0;
        report->stages.clear();
        return toJson(*report);
    };
    CHECK_EQUAL(rowsOf(1), rowsOf(3));
}

TEST(compare_measures_how_far_values_moved)
{
    TempFolder folder;
    const std::vector<float> old { 1.0F, 2.0F, 3.0F, 4.0F };
    const std::vector<float> fresh { 1.0F, 5.0F, 3.0F, 0.0F };
    const auto view = [](const std::vector<float>& values) {
        return std::array { TensorView {
            "w", Dtype::F32, { 2, 2 }, std::as_bytes(std::span(values)) } };
    };
    CHECK(writeSafetensors(folder / "a", view(old)));
    CHECK(writeSafetensors(folder / "b", view(fresh)));
    const auto report = openEngine()->compare({ folder / "a", folder / "b", 0 }, {});
    CHECK(report);
    const auto& row = report->rows[0];
    CHECK_EQUAL(row.changed, 2U);
    CHECK_EQUAL(*row.changedFraction, 0.5);
    CHECK_EQUAL(*row.maxAbsDelta, 4.0);
    CHECK_EQUAL(*row.l2Delta, 5.0);
    CHECK_EQUAL(*row.nonFinite, 0U);
    CHECK_EQUAL(report->firstMismatch->base, std::string("00000040"));
    CHECK_EQUAL(report->firstMismatch->found, std::string("0000a040"));
}

TEST(empty_tensors_have_no_changed_share)
{
    const auto report = openEngine()->compare(
        { kField / "P001/ok.safetensors", kField / "P001/ok_new.safetensors", 0 }, {});
    CHECK(report);
    CHECK_EQUAL(rowNamed(*report, "w").changed, 1U);
    CHECK_EQUAL(rowNamed(*report, "w").elements, 16U);
    CHECK(!rowNamed(*report, "scaled_fp8").changedFraction);
    CHECK_EQUAL(toString(rowNamed(*report, "grow").status), std::string("exact"));
    TempFolder folder;
    const auto engine = openEngine();
    CHECK(engine->diff(
        { kField / "P001/ok.safetensors", kField / "P001/ok_new.safetensors", folder / "d", 3, 0 },
        {}));
    CHECK(engine->apply({ kField / "P001/ok.safetensors", { folder / "d" }, folder / "n", 0 }, {}));
    CHECK_EQUAL(readFile(folder / "n"), readFile(kField / "P001/ok_new.safetensors"));
}

TEST(packed_types_are_counted_by_element)
{
    const auto report = openEngine()->compare(
        { kField / "P005/f4_even.safetensors", kField / "P005/f4_even_new.safetensors", 0 }, {});
    CHECK(report);
    CHECK_EQUAL(rowNamed(*report, "w").changed, 1U);
    CHECK_EQUAL(rowNamed(*report, "w").elements, 16U);
    CHECK_EQUAL(rowNamed(*report, "s").changed, 1U);
    CHECK(!rowNamed(*report, "s").maxAbsDelta);
}

TEST(short_shards_are_never_called_equal)
{
    const auto engine = openEngine();
    const auto report = engine->compare({ kField / "P009/whole", kField / "P009/short", 0 }, {});
    CHECK(report);
    CHECK_EQUAL(toString(report->verdict), std::string("partial"));
    CHECK_EQUAL(report->counts.notChecked, 2U);
    CHECK(contains(report->warnings.at(0), "160 are missing"));
    TempFolder folder;
    const auto made =
        engine->diff({ kField / "P009/whole", kField / "P009/short", folder / "d", 3, 0 }, {});
    CHECK(!made && made.error().code == Error::Code::Malformed);
    const auto inspected = engine->inspect({ kField / "P009/short", true }, {});
    CHECK(inspected);
    CHECK_EQUAL(inspected->problems.size(), 3U);
    CHECK_EQUAL(inspected->problems[0].code, std::string("short_shard"));
}

TEST(tied_heads_are_explained)
{
    const auto engine = openEngine();
    const auto base = kField / "P011/base_both.safetensors";
    const auto one = engine->compare({ base, kField / "P011/new_embed_only.safetensors", 0 }, {});
    CHECK(one);
    CHECK_EQUAL(one->removed, std::vector<std::string> { "lm_head.weight" });
    CHECK(contains(rowNamed(*one, "lm_head.weight").note,
        "equals model.embed_tokens.weight in the base, tied by config"));
    const auto both = engine->compare({ base, kField / "P011/new_both_differ.safetensors", 0 }, {});
    CHECK(both);
    CHECK_EQUAL(rowNamed(*both, "lm_head.weight").changed, 64U);
    CHECK_EQUAL(rowNamed(*both, "model.embed_tokens.weight").changed, 1U);
    CHECK(contains(both->warnings.at(0), "their values differ"));
}

TEST(cancel_leaves_nothing)
{
    const Chain chain;
    const auto before = chain.folder.names();
    std::atomic<int> calls { 0 };
    const JobControl control { [&] { return ++calls > 3; }, {} };
    const auto engine = openEngine();
    const auto applied = engine->apply(
        { chain.model("0"), { chain.delta("1") }, chain.folder / "out.safetensors", 1 }, control);
    CHECK(!applied && applied.error().code == Error::Code::Canceled);
    calls = 0;
    const auto made = engine->diff(
        { chain.model("0"), chain.model("1"), chain.folder / "out.safetensors", 3, 1 }, control);
    CHECK(!made && made.error().code == Error::Code::Canceled);
    calls = 0;
    const auto verified =
        engine->verify({ chain.model("0"), { chain.delta("1") }, {}, 1 }, control);
    CHECK(!verified && verified.error().code == Error::Code::Canceled);
    // Wanted from the start: no thread gets far.
    const JobControl never { [] { return true; }, {} };
    const auto stopped = engine->apply(
        { chain.model("0"), { chain.delta("1") }, chain.folder / "out.safetensors", 3 }, never);
    CHECK(!stopped && stopped.error().code == Error::Code::Canceled);
    CHECK(chain.folder.names() == before);
}

TEST(progress_ends_at_the_total)
{
    const Chain chain;
    std::uint64_t last = 0;
    std::uint64_t whole = 0;
    const JobControl control { {}, [&](std::uint64_t done, std::uint64_t total) {
                                  CHECK(done >= last && done <= total && total > 0);
                                  last = done;
                                  whole = total;
                              } };
    CHECK(openEngine()->compare({ chain.model("0"), chain.model("1"), 3 }, control));
    CHECK_EQUAL(last, whole);
    CHECK_EQUAL(whole, (kCount + 100) * 2);
}

TEST(outputs_never_touch_inputs)
{
    const Chain chain;
    const auto engine = openEngine();
    const auto before = readFile(chain.model("0"));
    const auto self =
        engine->apply({ chain.model("0"), { chain.delta("1") }, chain.model("0"), 1 }, {});
    CHECK(!self && self.error().code == Error::Code::Conflict);
    fs::create_symlink(chain.model("0"), chain.folder / "link.safetensors");
    const auto linked = engine->apply(
        { chain.model("0"), { chain.delta("1") }, chain.folder / "link.safetensors", 1 }, {});
    CHECK(!linked && linked.error().code == Error::Code::Conflict);
    CHECK_EQUAL(readFile(chain.model("0")), before);
    const auto cache = chain.folder / "models--a--b/snapshots/r";
    fs::create_directories(cache);
    const auto cached =
        engine->apply({ chain.model("0"), { chain.delta("1") }, cache / "n.safetensors", 1 }, {});
    CHECK(!cached && cached.error().code == Error::Code::Refused);
    CHECK(fs::is_empty(cache));
}

TEST(nothing_changes_in_a_hub_cache)
{
    TempFolder folder;
    fs::copy(kField / "P012/models--acme--tiny", folder / "models--acme--tiny",
        fs::copy_options::recursive);
    const auto snapshot = folder / "models--acme--tiny/snapshots/c0ffee";
    fs::create_directories(snapshot);
    const auto blob = folder / ("models--acme--tiny/blobs/" + std::string(64, 'a'));
    fs::create_symlink(
        fs::path("../../blobs") / std::string(64, 'a'), snapshot / "model.safetensors");
    fs::create_symlink(fs::path("../../blobs") / std::string(40, 'b'), snapshot / "config.json");
    const auto before = readFile(blob);
    const auto time = fs::last_write_time(blob);
    const auto engine = openEngine();
    CHECK(engine->diff({ snapshot, snapshot, folder / "delta", 3, 0 }, {}));
    CHECK(fs::is_regular_file(fs::symlink_status(folder / "delta/config.json")));
    const auto report = engine->verify({ snapshot, { folder / "delta" }, snapshot, 0 }, {});
    CHECK(report && report->verdict == Verdict::Exact);
    CHECK_EQUAL(readFile(blob), before);
    CHECK(fs::last_write_time(blob) == time);
    CHECK(fs::is_symlink(snapshot / "model.safetensors"));
}

TEST(missing_and_extra_tensors_are_rows_of_a_verify)
{
    const Chain chain;
    const auto values = trainedValues(100, 2);
    CHECK(writeSafetensors(
        chain.folder / "small.safetensors", std::array { viewOf("norm.weight", values) }));
    const auto engine = openEngine();
    const auto extra = engine->verify(
        { chain.folder / "small.safetensors", { chain.delta("1") }, std::nullopt, 1 }, {});
    CHECK(extra);
    CHECK_EQUAL(extra->counts.extra, 1U);
    CHECK_EQUAL(toString(extra->verdict), std::string("mismatch"));
    CHECK(engine->diff({ chain.folder / "small.safetensors", chain.folder / "small.safetensors",
                           chain.folder / "ds.safetensors", 3, 1 },
        {}));
    const auto missing = engine->verify(
        { chain.model("0"), { chain.folder / "ds.safetensors" }, std::nullopt, 1 }, {});
    CHECK(missing);
    CHECK_EQUAL(missing->counts.missing, 1U);
    CHECK_EQUAL(missing->counts.exact, 1U);
    CHECK_EQUAL(toString(missing->verdict), std::string("mismatch"));
}

TEST(reports_say_where_the_time_went)
{
    const Chain chain;
    const auto report =
        openEngine()->verify({ chain.model("0"), { chain.delta("1") }, chain.model("1"), 1 }, {});
    CHECK(report);
    std::vector<std::string> names;
    for (const auto& stage : report->stages) {
        names.push_back(stage.stage);
        CHECK(stage.bytes >= (kCount + 100) * 2);
        CHECK(stage.seconds > 0);
    }
    CHECK(
        names == std::vector<std::string>({ "read", "decode", "xor+adler", "measure", "compare" }));
    CHECK_EQUAL(report->device, std::string("cpu"));
    CHECK_EQUAL(report->kernel, openEngine()->kernelName());
    CHECK_EQUAL(report->bytes, (kCount + 100) * 2);
}

TEST(json_keeps_what_is_unknown_apart)
{
    VerifyReport report;
    report.rows.resize(1);
    report.rows[0].name = "bad \xff name";
    report.rows[0].maxAbsDelta = std::numeric_limits<double>::infinity();
    const auto json = toJson(report);
    CHECK(contains(json, "\"max_abs_delta\":\"Infinity\""));
    CHECK(contains(json, "\"l2_delta\":null"));
    CHECK(contains(json, "\"changed\":null")); // nothing was compared
    CHECK(contains(json, "\"first_mismatch\":null"));
    CHECK_EQUAL(toJson(Error { Error::Code::Full, "m", "u", "n", {} }),
        std::string("{\"error\":{\"code\":\"full\",\"message\":\"m\",\"unchanged\":\"u\",\"next\":"
                    "\"n\",\"request_id\":null}}"));
}

CHECK_MAIN()
