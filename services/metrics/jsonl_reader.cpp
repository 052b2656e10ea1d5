// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/metrics/jsonl_reader.h"

#include "services/core/clock.h"
#include "services/metrics/json_scan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <simdjson.h>
#include <unordered_map>

namespace desk {
namespace {

    namespace dom = simdjson::dom;

    // Rule 12 of the run fixtures: the first of these that a file has is its x.
    constexpr std::array<std::string_view, 10> kXKeys { "step", "_step", "global_step", "iteration",
        "iter", "current_steps", "train/global_step", "trainer/global_step", "train/step",
        "epoch" };
    constexpr int kNoXKey = static_cast<int>(kXKeys.size());
    constexpr int kNotX = -1;
    // Rule 13: the two streams of the asynchronous Fireworks ledger.
    constexpr int kRolloutStep = 100;
    constexpr int kProducerEvent = 101;

    int xRankOf(std::string_view name)
    {
        if (name == "rollout/step")
            return kRolloutStep;
        if (name == "producer/event")
            return kProducerEvent;
        for (std::size_t rank = 0; rank < kXKeys.size(); ++rank) {
            const bool isSame = std::equal(name.begin(), name.end(), kXKeys[rank].begin(),
                kXKeys[rank].end(), [](char a, char b) {
                    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
                });
            if (isSame)
                return static_cast<int>(rank);
        }
        return kNotX;
    }

    bool isWallKey(std::string_view name)
    {
        return name == "timestamp" || name == "_timestamp" || name == "time";
    }

    void flattenObject(const dom::object& object, std::string_view prefix, int depth, FlatRow& row);

    void flattenValue(std::string_view name, const dom::element& value, int depth, FlatRow& row)
    {
        const bool isTop = depth == 0;
        const auto number = [&](const XValue& x) {
            row.entries.push_back({ name, RowEntry::Kind::Number, isTop, x, {} });
        };
        switch (value.type()) {
        case dom::element_type::INT64:
            return number(XValue::of(value.get_int64().value_unsafe()));
        case dom::element_type::UINT64:
            return number(XValue::of(static_cast<double>(value.get_uint64().value_unsafe())));
        case dom::element_type::DOUBLE:
            return number(XValue::of(value.get_double().value_unsafe()));
        case dom::element_type::BOOL:
            return number(XValue::of(std::int64_t { value.get_bool().value_unsafe() ? 1 : 0 }));
        case dom::element_type::NULL_VALUE:
            row.entries.push_back({ name, RowEntry::Kind::Null, isTop, {}, {} });
            return;
        case dom::element_type::STRING:
            return row.addText(name, value.get_string().value_unsafe(), isTop);
        case dom::element_type::OBJECT:
            return flattenObject(value.get_object().value_unsafe(), name, depth + 1, row);
        case dom::element_type::ARRAY:
            return; // lists are no metrics
        }
    }

    void flattenObject(const dom::object& object, std::string_view prefix, int depth, FlatRow& row)
    {
        if (depth > 0 && object.at_key("_type").error() == simdjson::SUCCESS)
            return; // media, histograms and tables of W&B and Trackio
        for (const auto& field : object) {
            const std::string_view name =
                depth == 0 ? field.key : row.own(joinName(prefix, field.key));
            flattenValue(name, field.value, depth, row);
        }
    }

} // namespace

struct JsonlReader::State
{
    struct Slot
    {
        KeyReport report;
        int xRank = kNotX;
        bool isWall = false;
        Series* series = nullptr;
        std::uint64_t row = 0; ///< last row that had it; 0: none
        std::size_t pending = 0; ///< its place in that row
    };
    struct Pending
    {
        std::size_t slot;
        const RowEntry* entry;
    };
    struct Hash
    {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept
        {
            return std::hash<std::string_view> {}(text);
        }
    };

    explicit State(SeriesStore& target, int rank)
        : store(target)
        , chosenRank(rank < 0 ? kNoXKey : rank)
    {
    }

    void feed(std::string_view bytes);
    void finish();
    void makeRoom(std::size_t more);
    void takeLine(std::string_view line);
    void endLine(std::string_view line);
    [[nodiscard]] const char* parse(std::string_view line);
    [[nodiscard]] std::size_t slotFor(std::string_view name, std::size_t place);
    void skip(std::uint64_t line, const char* why);
    void commitRow();
    void chooseXKey();
    void commit(Slot& slot, const RowEntry& entry, std::string_view xName, std::int64_t wall);
    [[nodiscard]] std::int64_t wallOfRow() const;

    SeriesStore& store;
    LedgerReport report;
    std::vector<Slot> slots;
    std::unordered_map<std::string, std::size_t, Hash, std::equal_to<>> slotByName;
    std::vector<std::size_t> order; ///< slots of the row before: rows tend to repeat their keys
    std::vector<std::size_t> nextOrder;
    std::vector<Pending> pending;
    FlatRow row;
    dom::parser parser;

    std::unique_ptr<char[]> buffer; ///< the unfinished line, with the parser's padding behind it
    std::size_t capacity = 0;
    std::size_t used = 0;
    bool isSkippingLine = false; ///< inside a line that is too long
    bool isTailTaken = false; ///< the unfinished line was read as a whole object already

    int chosenRank;
    bool sawRowWithOtherX = false;
    bool wantsReread = false;
    XValue lastX = XValue::of(std::int64_t { 0 });
    std::string lastXName;
    std::int64_t arrival = 0;
};

void JsonlReader::State::makeRoom(std::size_t more)
{
    const std::size_t need = used + more + simdjson::SIMDJSON_PADDING;
    if (need <= capacity)
        return;
    const std::size_t grown = std::max(need, capacity * 2);
    auto larger = std::make_unique<char[]>(grown);
    if (used > 0)
        std::memcpy(larger.get(), buffer.get(), used);
    buffer = std::move(larger);
    capacity = grown;
}

void JsonlReader::State::feed(std::string_view bytes)
{
    report.bytes += bytes.size();
    report.tornBytes = 0;
    while (!bytes.empty()) {
        const std::size_t end = bytes.find('\n');
        const std::size_t take = std::min(end, bytes.size());
        if (!isSkippingLine && used + take > kMaxLine) {
            isSkippingLine = true;
            used = 0;
        }
        if (!isSkippingLine) {
            makeRoom(take);
            std::memcpy(buffer.get() + used, bytes.data(), take);
            used += take;
        }
        if (end == std::string_view::npos)
            return;
        endLine({ buffer.get(), used });
        used = 0;
        bytes.remove_prefix(end + 1);
    }
}

void JsonlReader::State::endLine(std::string_view line)
{
    ++report.lines;
    if (isSkippingLine)
        skip(report.lines, "longer than 16 MiB");
    else if (!isTailTaken)
        takeLine(line);
    isSkippingLine = false;
    isTailTaken = false;
}

void JsonlReader::State::takeLine(std::string_view line)
{
    if (report.lines == 1 && line.starts_with("\xEF\xBB\xBF"))
        line.remove_prefix(3);
    if (line.find_first_not_of(" \t\r\f\v") == std::string_view::npos)
        return;
    if (const char* why = parse(line)) {
        skip(report.lines, why);
        return;
    }
    commitRow();
}

void JsonlReader::State::finish()
{
    const std::string_view tail { buffer.get(), used };
    if (isSkippingLine || tail.find_first_not_of(" \t\r\f\v") == std::string_view::npos)
        return;
    if (isTailTaken)
        return;
    std::string_view text = tail;
    if (report.lines == 0 && text.starts_with("\xEF\xBB\xBF"))
        text.remove_prefix(3);
    if (parse(text) == nullptr) {
        commitRow();
        isTailTaken = true;
    } else {
        report.tornBytes = used;
    }
}

const char* JsonlReader::State::parse(std::string_view line)
{
    row.clear();
    dom::element element;
    const auto error = parser.parse(line.data(), line.size(), false).get(element);
    if (error == simdjson::SUCCESS && element.is_object()) {
        flattenObject(element.get_object().value_unsafe(), {}, 0, row);
        return nullptr;
    }
    return scanTolerant(line, row);
}

void JsonlReader::State::skip(std::uint64_t line, const char* why)
{
    ++report.skipped;
    if (report.skippedLines.size() < kMaxNamedLines)
        report.skippedLines.push_back({ line, why });
}

std::size_t JsonlReader::State::slotFor(std::string_view name, std::size_t place)
{
    if (place < order.size() && slots[order[place]].report.name == name)
        return order[place];
    const auto found = slotByName.find(name);
    if (found != slotByName.end())
        return found->second;
    if (slots.size() >= kMaxNames || name.size() > kMaxNameBytes) {
        ++report.droppedNames;
        return std::numeric_limits<std::size_t>::max();
    }
    Slot slot;
    slot.report.name = name;
    slot.xRank = xRankOf(name);
    slot.isWall = isWallKey(name);
    slots.push_back(std::move(slot));
    slotByName.emplace(std::string(name), slots.size() - 1);
    return slots.size() - 1;
}

void JsonlReader::State::chooseXKey()
{
    int best = chosenRank;
    for (const Pending& item : pending) {
        const Slot& slot = slots[item.slot];
        if (slot.xRank == kNotX || slot.xRank >= kRolloutStep || slot.xRank > best
            || item.entry->kind != RowEntry::Kind::Number)
            continue;
        if (slot.xRank < best || report.xKey.empty())
            report.xKey = slot.report.name;
        best = slot.xRank;
    }
    if (best < chosenRank) {
        wantsReread = wantsReread || sawRowWithOtherX;
        chosenRank = best;
    }
}

std::int64_t JsonlReader::State::wallOfRow() const
{
    for (const Pending& item : pending) {
        if (!slots[item.slot].isWall || !item.entry->isTopLevel)
            continue;
        if (item.entry->kind == RowEntry::Kind::Text) {
            if (const auto time = parseRfc3339(item.entry->text))
                return time->time_since_epoch().count();
        } else if (item.entry->kind == RowEntry::Kind::Number) {
            const double seconds = item.entry->number.real; // 1973 to 5138: seconds since 1970
            if (seconds > 1e8 && seconds < 1e11)
                return static_cast<std::int64_t>(std::llround(seconds * 1e6));
        }
    }
    return arrival;
}

void JsonlReader::State::commitRow()
{
    ++report.rows;
    pending.clear();
    nextOrder.clear();
    for (std::size_t i = 0; i < row.entries.size(); ++i) {
        const std::size_t index = slotFor(row.entries[i].name, i);
        if (index >= slots.size())
            continue;
        nextOrder.push_back(index);
        Slot& slot = slots[index];
        if (slot.row == report.rows) { // the last of two equal keys counts
            pending[slot.pending].entry = &row.entries[i];
            continue;
        }
        slot.row = report.rows;
        slot.pending = pending.size();
        pending.push_back({ index, &row.entries[i] });
    }
    order.swap(nextOrder);
    chooseXKey();

    int streamRank = kNotX;
    std::string_view xName = chosenRank == kNoXKey ? std::string_view("row") : report.xKey;
    if (chosenRank == kNoXKey)
        lastX = XValue::of(static_cast<std::int64_t>(report.rows - 1));
    for (const Pending& item : pending) {
        const Slot& slot = slots[item.slot];
        if (slot.xRank == kNotX || item.entry->kind != RowEntry::Kind::Number
            || !std::isfinite(item.entry->number.real))
            continue;
        const bool isStream = slot.xRank >= kRolloutStep;
        if (isStream ? streamRank == kNotX || slot.xRank < streamRank
                     : streamRank == kNotX && slot.xRank == chosenRank) {
            lastX = item.entry->number;
            if (isStream) {
                streamRank = slot.xRank;
                xName = slot.report.name;
            }
        }
    }
    const std::int64_t wall = wallOfRow();
    for (const Pending& item : pending) {
        Slot& slot = slots[item.slot];
        const bool isX =
            slot.xRank != kNotX && (slot.xRank == chosenRank || slot.xRank == streamRank);
        if (!isX)
            commit(slot, *item.entry, xName, wall);
    }
    sawRowWithOtherX = true;
}

void JsonlReader::State::commit(
    Slot& slot, const RowEntry& entry, std::string_view xName, std::int64_t wall)
{
    switch (entry.kind) {
    case RowEntry::Kind::Null:
        ++slot.report.nulls;
        return;
    case RowEntry::Kind::Text:
        ++slot.report.texts;
        return;
    case RowEntry::Kind::Number:
        break;
    }
    if (slot.series == nullptr)
        slot.series = store.ensure(slot.report.name, xName);
    ++slot.report.points;
    slot.series->append(lastX, entry.number.real, wall);
}

JsonlReader::JsonlReader(SeriesStore& store, int xRank)
    : m_state(std::make_unique<State>(store, xRank))
{
}

JsonlReader::~JsonlReader() = default;

void JsonlReader::feed(std::string_view bytes, std::int64_t arrivalUs)
{
    m_state->arrival = arrivalUs;
    m_state->feed(bytes);
}

void JsonlReader::finish()
{
    m_state->finish();
}

bool JsonlReader::wantsReread() const noexcept
{
    return m_state->wantsReread;
}

int JsonlReader::xRank() const noexcept
{
    return m_state->chosenRank;
}

const LedgerReport& JsonlReader::report() const noexcept
{
    return m_state->report;
}

std::vector<KeyReport> JsonlReader::keys() const
{
    std::vector<KeyReport> out;
    out.reserve(m_state->slots.size());
    for (const auto& slot : m_state->slots)
        out.push_back(slot.report);
    return out;
}

} // namespace desk
