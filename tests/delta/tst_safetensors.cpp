// SPDX-License-Identifier: GPL-3.0-or-later
// The rules of weight-delta.md section 4, file by file.

#include "services/delta/weight_set.h"
#include "tests/delta/support.h"

#include <csignal>

using namespace desk;
using namespace desk::test;

namespace {

Result<SafetensorsFile> openField(const std::string& name, FileProblem* problem = nullptr)
{
    return SafetensorsFile::open(kData / "field" / name, problem);
}

void makeHubCache(const TempFolder& folder)
{
    fs::copy(kData / "field/P012/models--acme--tiny", folder / "models--acme--tiny",
        fs::copy_options::recursive);
    const auto snapshot =
        folder / "models--acme--tiny/snapshots/c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ff";
    fs::create_directories(snapshot);
    fs::create_symlink(
        fs::path("../../blobs") / std::string(64, 'a'), snapshot / "model.safetensors");
    fs::create_symlink(fs::path("../../blobs") / std::string(40, 'b'), snapshot / "config.json");
}

const std::string kSnapshot =
    "models--acme--tiny/snapshots/c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ff";

} // namespace

TEST(sound_files_are_accepted)
{
    for (const auto* name : { "P001/ok.safetensors", "P001/ok_new.safetensors",
             "P005/f4_even.safetensors", "P005/f6_bytes.safetensors", "P005/c64.safetensors",
             "P007/ok_order.safetensors", "P011/base_both.safetensors" })
        CHECK(openField(name));
    const auto ok = openField("P001/ok.safetensors");
    CHECK_EQUAL(ok->header().tensors.size(), 3U);
    CHECK_EQUAL(ok->header().find("grow")->elementCount(), 0U);
    const auto packed = openField("P005/f4_even.safetensors");
    CHECK_EQUAL(packed->header().find("w")->byteCount(), 8U);
    CHECK_EQUAL(packed->header().find("w")->elementCount(), 16U);
    CHECK_EQUAL(openField("P005/c64.safetensors")->header().tensors[0].byteCount(), 16U);
}

TEST(broken_files_are_refused_with_the_reason)
{
    const std::array<std::array<const char*, 3>, 11> cases { {
        { "P001/bad_shape_one.safetensors", "scaled_fp8 needs 1 byte", "range is empty" },
        { "P003/dup_keys.safetensors", "duplicate tensor name key00", "" },
        { "P003/dup_keys_same_range.safetensors", "duplicate tensor name key00", "" },
        { "P003/shared_range.safetensors", "embed and head share bytes 0-16", "" },
        { "P003/overlap.safetensors", "a and b overlap at bytes 4-8", "" },
        { "P005/f4_odd.safetensors", "36 bits", "no whole number of bytes" },
        { "P005/unknown_dtype.safetensors", "F2_X", "tensor w" },
        { "P007/tail12.safetensors", "12 bytes after the last tensor",
            "the file has 148 bytes, its tensors end at 136" },
        { "P007/hole.safetensors", "4 bytes between a and b", "" },
        { "P007/first_gap.safetensors", "4 bytes before the first tensor", "" },
        { "P007/no_tensors_but_data.safetensors", "16 bytes that belong to no tensor", "" },
    } };
    for (const auto& [name, one, two] : cases) {
        FileProblem problem;
        const auto file = openField(name, &problem);
        CHECK(!file);
        CHECK_EQUAL(toString(file.error().code), std::string("malformed"));
        CHECK(contains(file.error().message, one));
        CHECK(contains(file.error().message, two));
        CHECK(!problem.code.empty());
    }
}

TEST(hostile_headers_are_refused)
{
    const auto tensor = [](const std::string& shape, const std::string& offsets,
                            const std::string& dtype = "\"U8\"") {
        return "{\"a\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets
            + "}}";
    };
    struct Row
    {
        std::string bytes;
        const char* reason;
    };
    std::string hugeLength(8, '\xff');
    std::string overCap(8, '\0');
    const std::uint64_t cap = kMaxSafetensorsHeader + 1;
    std::memcpy(overCap.data(), &cap, sizeof cap);
    const std::vector<Row> rows {
        { "", "too few" },
        { "1234567", "too few" },
        { hugeLength, "more than" },
        { overCap, "more than" },
        { rawFile("{}", 0).substr(0, 9), "the file has only" },
        { rawFile("", 0), "does not begin with {" },
        { rawFile("   ", 0), "does not begin with {" },
        { rawFile("\xef\xbb\xbf{}", 0), "does not begin with {" },
        { rawFile("[]", 0), "does not begin with {" },
        { rawFile("{", 0), "not valid JSON" },
        { rawFile("{} x", 0), "not valid JSON" },
        { rawFile("{\"\xff\":1}", 0), "not valid JSON" },
        { rawFile("{\"a\":1}", 0), "has a number" },
        { rawFile("{\"a\":{}}", 0), "lacks" },
        { rawFile("{\"__metadata__\":{\"k\":1}}", 0), "only strings" },
        { rawFile("{\"__metadata__\":{\"k\":{}}}", 0), "only strings" },
        { rawFile("{\"__metadata__\":{\"k\":\"1\",\"k\":\"1\"}}", 0), "twice" },
        { rawFile("{\"__metadata__\":{},\"__metadata__\":{}}", 0), "twice" },
        { rawFile(tensor("[4]", "[0,4]") + "{}", 4), "not valid JSON" },
        { rawFile(tensor("[-4]", "[0,4]"), 4), "negative" },
        { rawFile(tensor("[4.0]", "[0,4]"), 4), "number 4.0" },
        { rawFile(tensor("[4e0]", "[0,4]"), 4), "number 4e0" },
        { rawFile(tensor("[18446744073709551616]", "[0,4]"), 4), "number 18446744073709551616" },
        { rawFile(tensor("[4]", "[0,4,4]"), 4), "too many numbers" },
        { rawFile(tensor("[4]", "[0]"), 4), "lacks" },
        { rawFile(tensor("[4]", "[4,0]"), 4), "before it begins" },
        { rawFile(tensor("[5]", "[0,4]"), 4), "needs 5 bytes" },
        { rawFile(tensor("[4294967296,4294967296,2]", "[0,4]"), 4), "overflows" },
        { rawFile(tensor("[[4]]", "[0,4]"), 4), "an array" },
        { rawFile(tensor("null", "[0,4]"), 4), "null" },
        { rawFile(tensor("[4]", "[0,4]", "8"), 4), "has a number" },
        { rawFile(tensor("[4]", "[0,4]", "\"u8\""), 4), "unknown dtype u8" },
        { rawFile(
              "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
              0),
            "twice" },
        { rawFile("{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0],\"x\":1}}", 0),
            "unknown key" },
        { rawFile(tensor("[8]", "[0,8]"), 4), "4 are missing" },
        { rawFile(std::string(200'000, '['), 0), "does not begin with {" },
        { rawFile("{\"a\":" + std::string(200'000, '['), 0), "an array" },
        { rawFile(tensor(
                      "[" +
                          [] {
                              std::string ones = "1";
                              for (int i = 0; i < 300; ++i)
                                  ones += ",1";
                              return ones;
                          }()
                          + "]",
                      "[0,1]"),
              1),
            "too many numbers" },
    };
    TempFolder folder;
    for (const auto& row : rows) {
        writeFile(folder / "x.safetensors", row.bytes);
        const auto file = SafetensorsFile::open(folder / "x.safetensors");
        CHECK(!file);
        if (!contains(file.error().message, row.reason))
            check::fail(__FILE__, __LINE__, file.error().message + " lacks: " + row.reason);
    }
}

TEST(blanks_around_the_json_and_scalars_are_fine)
{
    TempFolder folder;
    writeFile(folder / "x.safetensors",
        rawFile("  {\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
                "\"e\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[4,4]}}  ",
            4));
    const auto file = SafetensorsFile::open(folder / "x.safetensors");
    CHECK(file);
    CHECK_EQUAL(file->header().find("s")->elementCount(), 1U);
    CHECK_EQUAL(file->header().find("e")->elementCount(), 0U);
}

TEST(what_is_no_regular_file_is_refused)
{
    TempFolder folder;
    CHECK_EQUAL(
        toString(SafetensorsFile::open(folder / "absent").error().code), std::string("not_found"));
    CHECK(!SafetensorsFile::open(folder.path()));
    CHECK(!SafetensorsFile::open("/dev/zero"));
}

TEST(writer_is_deterministic_and_reads_back)
{
    TempFolder folder;
    const std::vector<std::uint16_t> words { 1, 2, 3 };
    const std::vector<std::uint64_t> longs { 4 };
    const std::vector<TensorView> tensors {
        { "z", Dtype::BF16, { 3 }, std::as_bytes(std::span(words)) },
        { "a \"quoted\" \xC3\xA9", Dtype::U8, { 0 }, {} },
        { "y", Dtype::I64, {}, std::as_bytes(std::span(longs)) },
    };
    CHECK(writeSafetensors(folder / "one", tensors, { { "format", "pt" } }));
    CHECK(writeSafetensors(
        folder / "two", std::vector(tensors.rbegin(), tensors.rend()), { { "format", "pt" } }));
    CHECK_EQUAL(readFile(folder / "one"), readFile(folder / "two"));
    const auto file = SafetensorsFile::open(folder / "one");
    CHECK(file);
    CHECK_EQUAL(file->header().dataStart % 8, 0U);
    CHECK_EQUAL(file->header().metadata.at("format"), std::string("pt"));
    CHECK_EQUAL(file->header().find("y")->begin, 0U); // widest type first
    CHECK_EQUAL(file->bytes(*file->header().find("z")).size(), 6U);
    CHECK_EQUAL(std::to_integer<int>(file->bytes(*file->header().find("z"))[4]), 3);
    CHECK_EQUAL(folder.names().size(), 2U);
}

TEST(writer_refuses_what_it_could_not_read)
{
    TempFolder folder;
    const std::vector<std::uint16_t> words { 1, 2, 3 };
    const TensorView good { "a", Dtype::BF16, { 3 }, std::as_bytes(std::span(words)) };
    auto wrongSize = good;
    wrongSize.shape = { 4 };
    auto badName = good;
    badName.name = "\xff";
    CHECK(!writeSafetensors(folder / "x", std::array { wrongSize }));
    CHECK(!writeSafetensors(folder / "x", std::array { good, good }));
    CHECK(!writeSafetensors(folder / "x", std::array { badName }));
    CHECK(!writeSafetensors(folder / "absent/x", std::array { good }));
    CHECK(folder.names().empty());
}

TEST(full_disk_leaves_the_old_file_and_nothing_else)
{
    TempFolder folder;
    writeModel(folder / "x.safetensors", 1000, 1, 0);
    const auto before = readFile(folder / "x.safetensors");
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    rlimit old {};
    ::getrlimit(RLIMIT_FSIZE, &old);
    const rlimit small { 10'000, old.rlim_max };
    ::setrlimit(RLIMIT_FSIZE, &small);
    const auto values = trainedValues(100'000, 2);
    const auto written =
        writeSafetensors(folder / "x.safetensors", std::array { viewOf("w", values) });
    ::setrlimit(RLIMIT_FSIZE, &old);
    std::signal(SIGXFSZ, handler);
    CHECK(!written);
    CHECK_EQUAL(toString(written.error().code), std::string("full"));
    CHECK(!written.error().unchanged.empty() && !written.error().next.empty());
    CHECK_EQUAL(readFile(folder / "x.safetensors"), before);
    CHECK_EQUAL(folder.names().size(), 1U);
}

TEST(a_file_that_shrinks_is_an_error_and_no_crash)
{
    TempFolder folder;
    writeModel(folder / "x.safetensors", 100'000, 1, 0);
    const auto file = SafetensorsFile::open(folder / "x.safetensors");
    fs::resize_file(folder / "x.safetensors", 5000);
    std::vector<std::byte> buffer(100'000);
    const auto got = file->read(file->header().tensors[0], 0, buffer);
    CHECK(!got);
    CHECK(contains(got.error().message, "became shorter"));
}

TEST(short_shards_are_listed_with_their_tensors)
{
    std::vector<FileProblem> problems;
    const auto set =
        WeightSet::open(kData / "field/P009/short", WeightSet::Shorts::Refuse, &problems);
    CHECK(!set);
    CHECK(contains(set.error().message,
        "model-00002-of-00003.safetensors has 2208 of 2368 bytes, 160 are missing"));
    CHECK(contains(set.error().message, "model.layers.1.mlp.up_proj.weight is cut by 64 bytes"));
    CHECK(contains(set.error().message, "model.layers.1.scales is missing whole"));
    CHECK_EQUAL(problems.size(), 3U);
    const auto whole = WeightSet::open(kData / "field/P009/whole", WeightSet::Shorts::Refuse);
    CHECK(whole);
    CHECK_EQUAL(whole->tensors().size(), 6U);
    CHECK_EQUAL(whole->shards().size(), 3U);
}

TEST(an_index_must_agree_with_its_shards)
{
    TempFolder folder;
    writeModel(folder / "a.safetensors", 10, 1, 0);
    const auto openWith = [&](const std::string& index) {
        writeFile(folder / "model.safetensors.index.json", index);
        return WeightSet::open(folder.path(), WeightSet::Shorts::Refuse);
    };
    const std::string both = R"("layers.0.weight":"a.safetensors","norm.weight":"a.safetensors")";
    CHECK(openWith("{\"weight_map\":{" + both + "}}"));
    CHECK(openWith("{\"metadata\":{\"total_size\":1,\"x\":[{}]},\"weight_map\":{" + both + "}}"));
    const std::array<std::array<std::string, 2>, 8> bad { {
        { "{}", "no weight_map" },
        { "{\"weight_map\":{" + both + "}", "not valid JSON" },
        { "{\"weight_map\":{" + both + ",\"norm.weight\":\"a.safetensors\"}}", "twice" },
        { "{\"weight_map\":{" + both + ",\"q\":\"a.safetensors\"}}", "does not hold it" },
        { R"({"weight_map":{"norm.weight":"a.safetensors"}})", "is not in" },
        { R"({"weight_map":{"norm.weight":"../a.safetensors"}})", "leave the folder" },
        { R"({"weight_map":{"norm.weight":7}})", "not a name" },
        { R"({"weight_map":{"norm.weight":["a"]}})", "not a file name" },
    } };
    for (const auto& [index, reason] : bad) {
        const auto set = openWith(index);
        CHECK(!set);
        if (!contains(set.error().message, reason))
            check::fail(__FILE__, __LINE__, set.error().message + " lacks: " + reason);
    }
    fs::remove(folder / "model.safetensors.index.json");
    writeModel(folder / "b.safetensors", 10, 1, 0);
    CHECK(contains(WeightSet::open(folder.path(), WeightSet::Shorts::Refuse).error().message,
        "stands in a.safetensors and in b.safetensors"));
}

TEST(hub_cache_links_are_followed_inside_the_model_only)
{
    TempFolder folder;
    makeHubCache(folder);
    const auto snapshot = folder / kSnapshot;
    const auto set = WeightSet::open(snapshot, WeightSet::Shorts::Refuse);
    CHECK(set);
    CHECK_EQUAL(set->tensors().size(), 1U);
    CHECK(WeightSet::open(snapshot / "model.safetensors", WeightSet::Shorts::Refuse));

    fs::create_symlink(
        fs::path("../../blobs") / std::string(64, 'd'), snapshot / "extra.safetensors");
    const auto dangling =
        WeightSet::open(snapshot / "extra.safetensors", WeightSet::Shorts::Refuse);
    CHECK(!dangling);
    CHECK(contains(dangling.error().message, "points to ../../blobs/ddd"));
    CHECK(contains(dangling.error().message, "does not exist"));
    fs::remove(snapshot / "extra.safetensors");

    fs::create_symlink("/etc/hostname", snapshot / "evil.safetensors");
    for (const auto& path : { snapshot, snapshot / "evil.safetensors" }) {
        const auto evil = WeightSet::open(path, WeightSet::Shorts::Refuse);
        CHECK(!evil);
        CHECK_EQUAL(toString(evil.error().code), std::string("refused"));
        CHECK(contains(evil.error().message, "outside of"));
    }
    CHECK(isInsideHubCache(snapshot / "new.safetensors"));
    CHECK(isInsideHubCache(folder / "models--acme--tiny/blobs/x"));
    CHECK(!isInsideHubCache(folder / "new.safetensors"));
}

CHECK_MAIN()
