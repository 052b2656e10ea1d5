// SPDX-License-Identifier: GPL-3.0-or-later
// The golden vectors of arc_v2: good deltas give the right bytes and survive re-encoding; bad ones
// are refused and leave nothing behind.

#include "services/delta/arc_v2.h"
#include "tests/delta/support.h"

#include <zstd.h>

using namespace desk;
using namespace desk::test;

namespace {

struct Vector
{
    std::string must, base, delta, next;
};

std::vector<Vector> vectorsWhere(const std::string& must)
{
    std::vector<Vector> list;
    std::ifstream stream(kData / "arc/cases.tsv");
    std::string line;
    while (std::getline(stream, line)) {
        std::istringstream fields(line);
        Vector vector;
        fields >> vector.must >> vector.base >> vector.delta >> vector.next;
        if (vector.must == must)
            list.push_back(vector);
    }
    return list;
}
fs::path arc(const std::string& name)
{
    return kData / "arc" / name;
}

/// Same tensors, same bits; the order in the file may differ.
bool isSameWeights(const fs::path& a, const fs::path& b)
{
    const auto report = openEngine()->compare({ a, b, 1 }, {});
    return report && report->verdict == Verdict::Exact;
}

void failFor(const Vector& vector, const std::string& why)
{
    check::fail(__FILE__, __LINE__, vector.delta + " on " + vector.base + ": " + why);
}

} // namespace

TEST(good_vectors_apply_and_verify)
{
    const auto vectors = vectorsWhere("accept");
    CHECK_EQUAL(vectors.size(), 37U);
    for (const auto& vector : vectors) {
        TempFolder folder;
        const auto engine = openEngine();
        const auto applied = engine->apply(
            { arc(vector.base), { arc(vector.delta) }, folder / "new.safetensors", 2 }, {});
        if (!applied)
            failFor(vector, applied.error().message);
        if (!isSameWeights(folder / "new.safetensors", arc(vector.next)))
            failFor(vector, "wrong bytes");
        const auto verified =
            engine->verify({ arc(vector.base), { arc(vector.delta) }, arc(vector.next), 2 }, {});
        if (!verified || verified->verdict != Verdict::Exact)
            failFor(vector, "not verified");
        // The base's header is kept as it is.
        const auto base = readFile(arc(vector.base));
        const auto next = readFile(folder / "new.safetensors");
        CHECK_EQUAL(next.size(), base.size());
        std::uint64_t length = 0;
        std::memcpy(&length, base.data(), sizeof length);
        CHECK(next.compare(0, 8 + length, base, 0, 8 + length) == 0);
    }
}

TEST(good_vectors_survive_our_own_encoding)
{
    for (const auto& vector : vectorsWhere("accept")) {
        if (vector.delta.rfind("made/", 0) == 0)
            continue; // the same pairs again
        TempFolder folder;
        const auto engine = openEngine();
        const auto encoded = engine->diff(
            { arc(vector.base), arc(vector.next), folder / "d.safetensors", 3, 2 }, {});
        if (!encoded)
            failFor(vector, encoded.error().message);
        const auto applied = engine->apply(
            { arc(vector.base), { folder / "d.safetensors" }, folder / "new.safetensors", 2 }, {});
        if (!applied || !isSameWeights(folder / "new.safetensors", arc(vector.next)))
            failFor(vector, "our delta does not give the new weights");
        // The same bytes again, whatever the number of threads.
        CHECK(engine->diff(
            { arc(vector.base), arc(vector.next), folder / "d2.safetensors", 3, 1 }, {}));
        CHECK_EQUAL(readFile(folder / "d.safetensors"), readFile(folder / "d2.safetensors"));
        CHECK_EQUAL(fs::file_size(folder / "d.safetensors"), encoded->bytesDelta);
    }
}

TEST(bad_vectors_are_refused_and_leave_nothing)
{
    const auto vectors = vectorsWhere("reject");
    CHECK_EQUAL(vectors.size(), 21U);
    for (const auto& vector : vectors) {
        TempFolder folder;
        const auto before = readFile(arc(vector.base));
        const auto applied = openEngine()->apply(
            { arc(vector.base), { arc(vector.delta) }, folder / "new.safetensors", 2 }, {});
        if (applied)
            failFor(vector, "was accepted");
        const auto code = applied.error().code;
        if (code != Error::Code::Malformed && code != Error::Code::Refused)
            failFor(vector, applied.error().message);
        if (!folder.names().empty())
            failFor(vector, "left something behind");
        CHECK(readFile(arc(vector.base)) == before);
        const auto verified =
            openEngine()->verify({ arc(vector.base), { arc(vector.delta) }, {}, 2 }, {});
        if (verified && verified->verdict == Verdict::Exact)
            failFor(vector, "was verified");
    }
}

TEST(bad_vectors_say_why)
{
    const std::array<std::array<const char*, 2>, 12> reasons { {
        { "made/flip_payload.arc_v2.safetensors", "is damaged" },
        { "made/wrong_checksum.arc_v2.safetensors", "which says 4174925956" },
        { "made/truncated_file.arc_v2.safetensors", "9 are missing" },
        { "made/truncated_payload.arc_v2.safetensors", "ends inside a zstd frame" },
        { "made/trailing_garbage.arc_v2.safetensors", "bytes after its zstd frame" },
        { "made/no_metadata.arc_v2.safetensors", "no checksum" },
        { "made/extra_tensor.arc_v2.safetensors", "which the base does not have" },
        { "made/missing_tensor.arc_v2.safetensors", "the delta lacks tensor" },
        { "made/checksum_zeros.arc_v2.safetensors", "not an Adler-32 in decimal digits" },
        { "made/zstd_short.safetensors", "is shorter than the tensor" },
        { "made/zstd_long.safetensors", "is longer than the tensor" },
        { "made/wrong_format_v1_as_v2.safetensors", "is not a zstd frame" },
    } };
    for (const auto& [name, reason] : reasons) {
        TempFolder folder;
        const auto applied = openEngine()->apply(
            { arc("bf16_1pct/base.safetensors"), { arc(name) }, folder / "new.safetensors", 1 },
            {});
        CHECK(!applied);
        if (!contains(applied.error().message, reason))
            check::fail(__FILE__, __LINE__, applied.error().message + " lacks: " + reason);
    }
}

TEST(either_vectors_give_the_right_bytes_if_taken)
{
    for (const auto& vector : vectorsWhere("either")) {
        TempFolder folder;
        const auto applied = openEngine()->apply(
            { arc(vector.base), { arc(vector.delta) }, folder / "new.safetensors", 2 }, {});
        if (applied && !isSameWeights(folder / "new.safetensors", arc(vector.next)))
            failFor(vector, "wrong bytes");
        CHECK(applied || folder.names().empty());
    }
}

TEST(inexpressible_pairs_are_refused_by_the_writer)
{
    const auto vectors = vectorsWhere("refuse");
    CHECK_EQUAL(vectors.size(), 5U);
    for (const auto& vector : vectors) {
        TempFolder folder;
        const auto encoded = openEngine()->diff(
            { arc(vector.base), arc(vector.next), folder / "d.safetensors", 3, 2 }, {});
        CHECK(!encoded);
        CHECK_EQUAL(toString(encoded.error().code), std::string("refused"));
        CHECK(contains(encoded.error().next, "full snapshot"));
        CHECK(folder.names().empty());
    }
}

TEST(folders_apply_shard_by_shard)
{
    TempFolder folder;
    const auto engine = openEngine();
    CHECK(engine->apply(
        { arc("sharded/base"), { arc("sharded/delta.arc_v2") }, folder / "new", 2 }, {}));
    CHECK(isSameWeights(folder / "new", arc("sharded/new")));
    CHECK(engine->diff({ arc("sharded/base"), arc("sharded/new"), folder / "delta", 3, 2 }, {}));
    // Other files come from the new folder, not from the base.
    CHECK_EQUAL(readFile(folder / "delta/config.json"), readFile(arc("sharded/new/config.json")));
    CHECK(fs::exists(folder / "delta/only_in_new.txt"));
    CHECK(!fs::exists(folder / "delta/only_in_base.txt"));
    const auto verified =
        engine->verify({ arc("sharded/base"), { folder / "delta" }, arc("sharded/new"), 2 }, {});
    CHECK(verified && verified->verdict == Verdict::Exact);
    CHECK_EQUAL(verified->counts.exact, 5U);
    CHECK_EQUAL(folder.names().size(), 2U);
    // A folder that is taken is left alone.
    const auto again =
        engine->diff({ arc("sharded/base"), arc("sharded/new"), folder / "delta", 3, 2 }, {});
    CHECK(!again && again.error().code == Error::Code::Conflict);
}

TEST(worked_example_of_the_specification)
{
    const std::array<std::uint16_t, 8> base { 0x3f80, 0x4000, 0x4040, 0x4080, 0x3f00, 0xbf80, 0,
        0x40e0 };
    auto next = base;
    next[1] = 0x4001;
    next[5] = 0xbf83;
    next[6] = 0x8000;
    TempFolder folder;
    const auto view = [](const auto& values) {
        return std::array { TensorView {
            "w", Dtype::BF16, { 8 }, std::as_bytes(std::span(values)) } };
    };
    CHECK(writeSafetensors(folder / "b", view(base)));
    CHECK(writeSafetensors(folder / "n", view(next)));
    CHECK(openEngine()->diff({ folder / "b", folder / "n", folder / "d", 3, 1 }, {}));
    const auto bytes = readFile(folder / "d");
    CHECK_EQUAL(bytes.substr(8, 88),
        std::string(
            "{\"__metadata__\":{\"w\":\"672466274\"},\"w\":{\"dtype\":\"U8\",\"shape\":[25],"
            "\"data_offsets\":[0,25]}}"));
    CHECK_EQUAL(bytes.size(), 8U + 88U + 25U);
    CHECK(bytes.substr(96, 9)
        == std::string("\x28\xb5\x2f\xfd\x20\x10\x81\x00\x00", 9)); // content size, one raw block
}

TEST(checksum_text_is_canonical_decimal)
{
    CHECK_EQUAL(arcChecksumText(1), std::string("1"));
    CHECK_EQUAL(*arcChecksumFrom("4294967295"), 4294967295U);
    for (const auto* text : { "", "01", "+1", "-1", " 1", "1 ", "0x1", "4294967296", "1a" })
        CHECK(!arcChecksumFrom(text));
}

TEST(every_flipped_bit_is_noticed_or_harmless)
{
    TempFolder folder;
    const auto base = arc("f64_5pct/base.safetensors");
    const auto next = arc("f64_5pct/new.safetensors");
    const auto good = readFile(arc("f64_5pct/delta.arc_v2.safetensors"));
    const auto engine = openEngine();
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        auto bad = good;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
        writeFile(folder / "d.safetensors", bad);
        const auto report = engine->verify({ base, { folder / "d.safetensors" }, next, 1 }, {});
        // Whoever says exact has compared with the target: the flip was harmless.
        if (report && report->verdict != Verdict::Exact)
            CHECK_EQUAL(toString(report->verdict), std::string("mismatch"));
    }
}

TEST(sparse_frames_are_legal_for_a_one_shot_reader)
{
    std::mt19937 random(5);
    ArcV2Encoder encoder(3); // one for all: frames must not depend on those before
    ArcV2Encoder general(9);
    for (const std::size_t size : { 0, 1, 2, 6, 7, 16, 255, 256, 65'791, 65'792, 131'071, 131'072,
             131'073, 393'216, 1'000'003 })
        for (const unsigned every : { 0U, 1U, 3U, 9U, 150U, 100'000U }) {
            std::vector<std::byte> content(size);
            if (every > 0)
                for (std::size_t i = every / 2; i < size; i += 1 + random() % (2 * every))
                    content[i] = static_cast<std::byte>(random());
            const auto encode = [&](ArcV2Encoder& with, std::size_t piece) {
                std::string frame;
                CHECK(with.begin(size, [&](std::span<const std::byte> bytes) {
                    frame.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                    return done();
                }));
                for (std::size_t at = 0; at < size; at += piece)
                    CHECK(with.add(std::span(content).subspan(at, std::min(piece, size - at))));
                CHECK(with.finish());
                return frame;
            };
            const auto frame = encode(encoder, 393'216);
            CHECK(frame == encode(encoder, 1000)); // however it is cut
            for (const auto& bytes : { frame, encode(general, 393'216) }) {
                CHECK_EQUAL(ZSTD_getFrameContentSize(bytes.data(), bytes.size()), size);
                std::vector<std::byte> back(size + 1);
                const auto got =
                    ZSTD_decompress(back.data(), back.size(), bytes.data(), bytes.size());
                if (ZSTD_isError(got))
                    check::fail(__FILE__, __LINE__, ZSTD_getErrorName(got));
                CHECK_EQUAL(got, size);
                CHECK(std::equal(content.begin(), content.end(), back.begin()));
                CHECK(bytes.size() <= size + 18 + 3 * (size / 131'072 + 1));
            }
        }
}

TEST(encoders_insist_on_the_announced_size)
{
    const std::vector<std::byte> content(100);
    for (const int level : { 3, 9 }) {
        ArcV2Encoder encoder(level);
        const auto ignore = [](std::span<const std::byte>) { return done(); };
        CHECK(encoder.begin(101, ignore));
        CHECK(encoder.add(content));
        CHECK(!encoder.finish());
        CHECK(encoder.begin(99, ignore));
        CHECK(!encoder.add(content) || !encoder.finish());
    }
}

CHECK_MAIN()
