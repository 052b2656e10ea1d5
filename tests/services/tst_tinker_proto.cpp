// SPDX-License-Identifier: GPL-3.0-or-later
// The training messages in protobuf: the byte examples of the specification, both ways, and bodies
// that lie.
#include "services/codecs/tinker_proto.h"
#include "tests/support/check.h"

#include <string>

namespace {

/// Hexadecimal digits, blanks between them ignored.
std::string bytes(std::string_view hex)
{
    std::string digits;
    for (const char c : hex)
        if (c != ' ' && c != '\n')
            digits += c;
    std::string result;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
        result += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    return result;
}

std::string varint(std::size_t value)
{
    std::string text;
    for (; value >= 128; value >>= 7)
        text += static_cast<char>((value & 127) | 128);
    return text + static_cast<char>(value);
}

/// A field with a length.
std::string field(int number, const std::string& content)
{
    return static_cast<char>(number * 8 + 2) + varint(content.size()) + content;
}

// tinker-0.38.md 17.1: tokens [1,2,3], target_tokens [2,3,4], weights [0,1,1].
const std::string kOneDatum = bytes("0a0a73313a747261696e3a30 1001 1a64"
                                    "0a100a0e0a0c010000000200000003000000"
                                    "12300a0d7461726765745f746f6b656e73"
                                    "121f0a18020000000000000003000000000000000400000000000000"
                                    "1802220103"
                                    "121e0a0777656967687473"
                                    "12130a0c000000000000803f0000803f1801220103"
                                    "220d63726f73735f656e74726f7079");

desk::ForwardRequest oneDatum()
{
    desk::ForwardRequest request;
    request.isBackward = true;
    request.modelId = "s1:train:0";
    request.seqId = 1;
    desk::Datum datum;
    datum.tokens = { 1, 2, 3 };
    datum.lossInputs["target_tokens"] = desk::intTensor({ 2, 3, 4 });
    datum.lossInputs["weights"] = desk::floatTensor({ 0, 1, 1 });
    request.data.push_back(datum);
    return request;
}

TEST(a_request_is_read_and_written_byte_for_byte)
{
    CHECK_EQUAL(kOneDatum.size(), 131U);
    const auto request = desk::decodeForwardProto(kOneDatum);
    CHECK(request.has_value());
    CHECK(request->isBackward);
    CHECK_EQUAL(request->modelId, "s1:train:0");
    CHECK_EQUAL(request->seqId, 1);
    CHECK_EQUAL(request->lossFn, "cross_entropy");
    CHECK(request->data == oneDatum().data);
    CHECK_EQUAL(*desk::encodeForwardProto(oneDatum()), kOneDatum);
    const auto forward = desk::decodeForwardProto(kOneDatum + bytes("3001"));
    CHECK(forward.has_value() && !forward->isBackward);
}

TEST(a_configuration_in_both_forms_is_read_once)
{
    const auto body = bytes("0a016d 1002 220370706f"
                            "2a1d0a12636c69705f6c6f775f7468726573686f6c64119a9999999999e93f"
                            "3001"
                            "3a1f0a12636c69705f6c6f775f7468726573686f6c641209099a9999999999e93f"
                            "3a0b0a046d6f64651203120178");
    const auto request = desk::decodeForwardProto(body);
    CHECK(request.has_value());
    CHECK(!request->isBackward);
    CHECK_EQUAL(request->lossFn, "ppo");
    CHECK_EQUAL(request->seqId, 2);
    CHECK_EQUAL(request->lossConfig.size(), 1U);
    CHECK_EQUAL(request->lossConfig.at("clip_low_threshold"), 0.8);
    CHECK_EQUAL(request->lossTextConfig.at("mode"), "x");
    // Only the older map: it counts.
    const auto older =
        desk::decodeForwardProto(bytes("0a016d 220370706f 2a0f0a046265746111000000000000e03f"));
    CHECK(older.has_value());
    CHECK_EQUAL(older->lossConfig.at("beta"), 0.5);
}

TEST(sparse_tensors_and_narrow_numbers_come_out_wide_and_dense)
{
    // target_tokens [2,6]: (0,0) = 2, (1,0) = 3; the example of trainer.md 3.3.
    const auto rows = bytes("000000000000000001000000000000000200000000000000");
    const auto sparse = [&](const std::string& columns) {
        const auto csr = field(1, bytes("02000000000000000300000000000000")) + field(2, rows)
            + field(3, columns);
        const auto tensor = field(2, csr) + bytes("1802 22020206");
        return bytes("0a016d 220178")
            + field(3,
                field(1, field(1, field(1, bytes("0100000002000000"))))
                    + field(2, field(1, "target_tokens") + field(2, tensor)));
    };
    CHECK(!desk::decodeForwardProto(sparse(std::string(4, '\0')))); // int32 is no column index
    CHECK(!desk::decodeForwardProto(sparse(bytes("06000000000000000000000000000000"))));
    const auto request = desk::decodeForwardProto(sparse(std::string(16, '\0')));
    CHECK(request.has_value());
    const auto& tensor = request->data[0].lossInputs.at("target_tokens");
    CHECK(tensor.ints == std::vector<std::int64_t>({ 2, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0 }));
    CHECK(tensor.shape == std::vector<std::int64_t>({ 2, 6 }));
    // INT32 [7, -1] and BFLOAT16 [1, -2]; a shape may be left out.
    const auto narrow = desk::decodeForwardProto(bytes("0a016d 220178")
        + field(3,
            field(2, field(1, "a") + field(2, field(1, bytes("07000000ffffffff")) + bytes("1803")))
                + field(2,
                    field(1, "b") + field(2, field(1, bytes("803f00c0")) + bytes("1804 220102")))));
    CHECK(narrow.has_value());
    CHECK(narrow->data[0].lossInputs.at("a").ints == std::vector<std::int64_t>({ 7, -1 }));
    CHECK(narrow->data[0].lossInputs.at("b").floats == std::vector<float>({ 1.0F, -2.0F }));
}

TEST(a_result_is_written_and_read_byte_for_byte)
{
    const auto expected = bytes("0a0b41727261795265636f7264"
                                "124b0a0b41727261795265636f7264"
                                "123a0a086c6f6770726f6273"
                                "122e0a10000000bf000080bf000000c0000080be"
                                "121800000000000000000c000000000000001000000000000000"
                                "1801"
                                "1802"
                                "1a130a086c6f73733a73756d110000000000000a40");
    desk::ForwardResult result;
    result.outputs.push_back({ { "logprobs", desk::floatTensor({ -0.5F, -1.0F, -2.0F }) } });
    result.outputs.push_back({ { "logprobs", desk::floatTensor({ -0.25F }) } });
    result.metrics["loss:sum"] = 3.25;
    CHECK_EQUAL(expected.size(), 111U);
    CHECK_EQUAL(desk::encodeForwardResultProto(result), expected);
    const auto read = desk::decodeForwardResultProto(expected);
    CHECK(read.has_value());
    CHECK(read->outputs == result.outputs);
    CHECK(read->metrics == result.metrics);
}

TEST(outputs_of_other_shapes_get_records_of_their_own)
{
    desk::ForwardResult result;
    const auto wide = [](std::int64_t rows, std::int64_t columns) {
        desk::TensorData tensor;
        tensor.floats.assign(static_cast<std::size_t>(rows * columns), -1.0F);
        tensor.shape = { rows, columns };
        return tensor;
    };
    desk::TensorData indices = desk::intTensor({ 4, 5 });
    indices.shape = { 1, 2 };
    result.outputs.push_back({ { "logprobs", wide(2, 3) } });
    result.outputs.push_back({ { "logprobs", wide(1, 3) } });
    result.outputs.push_back({ { "logprobs", wide(2, 2) } });
    result.outputs.push_back(
        { { "logprobs", desk::floatTensor({ -1.0F }) }, { "top_k_indices", indices } });
    const auto read = desk::decodeForwardResultProto(desk::encodeForwardResultProto(result));
    CHECK(read.has_value());
    CHECK(read->outputs == result.outputs);
    const desk::ForwardResult empty;
    CHECK(desk::decodeForwardResultProto(desk::encodeForwardResultProto(empty)).has_value());
}

TEST(every_cut_of_a_body_is_an_error_or_a_request_never_more)
{
    for (std::size_t size = 0; size < kOneDatum.size(); ++size) {
        const auto request = desk::decodeForwardProto(kOneDatum.substr(0, size));
        if (request) // a whole number of fields: nothing of the cut one is in it
            CHECK(request->data.empty() || request->data == oneDatum().data);
    }
}

TEST(bodies_that_lie_are_refused_before_they_cost_memory)
{
    // A sparse tensor of a few bytes whose shape stands for 4000 x 4000 x 8 bytes, many times over.
    const auto value = field(2, field(2, std::string(4001 * 8, '\0'))) + bytes("1802 2204a01fa01f");
    std::string datum;
    for (const char name : { 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' })
        datum += field(2, field(1, std::string(1, name)) + field(2, value));
    const auto body = bytes("0a016d 220178") + field(3, datum);
    const auto request = desk::decodeForwardProto(body);
    CHECK(!request);
    CHECK(request.error().message.find("64000000") != std::string::npos);
    // A shape beyond any bound, a dtype that does not exist, an image, a datum without end.
    CHECK(
        !desk::decodeForwardProto(bytes("0a016d 220178 1a0c 120a 0a0161 1205 1801 22ffffffff7f")));
    const auto typed = desk::decodeForwardProto(bytes("0a016d 220178 1a09 1207 0a0161 1202 1809"));
    CHECK(!typed && typed.error().message.find("dtype 9") != std::string::npos);
    const auto image = desk::decodeForwardProto(bytes("0a016d 220178 1a04 0a02 1200"));
    CHECK(!image && image.error().message.find("not image") != std::string::npos);
    CHECK(!desk::decodeForwardProto(bytes("1affffffffff7f")));
    CHECK(!desk::decodeForwardProto("not protobuf at all"));
    CHECK(!desk::decodeForwardResultProto(bytes("1204 18ffffff7f")));
    CHECK(!desk::decodeForwardResultProto(bytes("1210 120c 0a0161 1207 0a02 0000 1801 12 1801")));
}

TEST(known_numbers_of_another_kind_and_texts_that_are_none_are_refused_or_skipped)
{
    // seq_id, forward_only and loss_fn as something else: unknown fields, so the loss is missing.
    CHECK(!desk::decodeForwardProto(bytes("0a016d 120131 320131 2001")));
    const auto skipped = desk::decodeForwardProto(bytes("0a016d 220178 120131 320131 1801 2801"));
    CHECK(skipped.has_value());
    CHECK(skipped->isBackward && skipped->data.empty());
    CHECK_EQUAL(skipped->seqId, 0);
    for (const auto* text : { "fffe", "c080", "eda080", "f4908080", "e282", "80" })
        CHECK(!desk::decodeForwardProto(field(1, bytes(text)) + bytes("0a016d 220178")));
    CHECK(desk::decodeForwardProto(
        field(1, "m\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80") + bytes("220178"))
              .has_value());
    CHECK(!desk::decodeForwardProto(field(1, std::string(2000, 'm')) + bytes("220178")));
    // Every bit of an honest body flipped: an error or a request, never more.
    for (std::size_t bit = 0; bit < kOneDatum.size() * 8; ++bit) {
        auto body = kOneDatum;
        body[bit / 8] = static_cast<char>(body[bit / 8] ^ (1 << (bit % 8)));
        (void)desk::decodeForwardProto(body);
        (void)desk::decodeForwardResultProto(body);
    }
}

TEST(provenance_is_read_and_left_out)
{
    // model_input_spans: sampled_tokens {sequence_id "r:0", length 3}; override of an unknown
    // field.
    const auto request = desk::decodeForwardProto(bytes("0a016d 220178 1a1d"
                                                        "0a100a0e0a0c010000000200000003000000"
                                                        "1a09 1207 0a03723a30 1803"
                                                        "7a00"));
    CHECK(request.has_value());
    CHECK(request->data[0].tokens == std::vector<std::int64_t>({ 1, 2, 3 }));
}

} // namespace

CHECK_MAIN()
