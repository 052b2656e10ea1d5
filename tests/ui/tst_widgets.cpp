// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/item_roles.h"
#include "ui/style/theme.h"
#include "ui/style/tokens.h"
#include "ui/widgets/buttons.h"
#include "ui/widgets/cell_delegate.h"
#include "ui/widgets/chip_button.h"
#include "ui/widgets/code_block.h"
#include "ui/widgets/dock_grip.h"
#include "ui/widgets/fact_list.h"
#include "ui/widgets/mark_table.h"
#include "ui/widgets/panel.h"
#include "ui/widgets/pill.h"
#include "ui/widgets/span_label.h"
#include "ui/widgets/sparkline.h"
#include "ui/widgets/table_view.h"
#include "ui/widgets/tile.h"

#include <QAbstractItemModelTester>
#include <QAction>
#include <QDockWidget>
#include <QLineEdit>
#include <QMainWindow>
#include <QPixmapCache>
#include <QPushButton>
#include <QStandardItemModel>
#include <QTabBar>
#include <QToolButton>
#include <QVBoxLayout>
#include <QtTest>

using namespace Qt::StringLiterals;
using namespace desk;

static void keepPicture(QWidget& widget, const QString& name)
{
    const QString folder = qEnvironmentVariable("DESK_PICTURES");
    if (!folder.isEmpty())
        widget.grab().save(folder + u'/' + name + u".png"_s);
}

// One row of every cell kind, as a model of the product would give it.
class CellModel final : public QAbstractTableModel
{
public:
    enum Column
    {
        Evidence,
        Name,
        Kind,
        Step,
        Loss,
        Delta,
        Trend,
        Promotable,
        Serving,
        Count
    };
    int rows = 5;

    int rowCount(const QModelIndex& parent = {}) const override
    {
        return parent.isValid() ? 0 : rows;
    }
    int columnCount(const QModelIndex& parent = {}) const override
    {
        return parent.isValid() ? 0 : Count;
    }
    static CellKind kind(int column)
    {
        constexpr CellKind kinds[] = { CellKind::Evidence, CellKind::Name, CellKind::Text,
            CellKind::Progress, CellKind::Number, CellKind::Delta, CellKind::Spark, CellKind::Flag,
            CellKind::Pills };
        return kinds[column];
    }
    QVariant headerData(int section, Qt::Orientation orientation, int role) const override
    {
        static const QStringList titles { u"Evidence"_s, u"Name"_s, u"Kind"_s, u"Step"_s,
            u"Loss α.99"_s, u"Δ / 1k"_s, u"Trend"_s, u"Promotable"_s, u"Serving"_s };
        if (orientation != Qt::Horizontal)
            return {};
        if (role == +Role::Cell)
            return int(kind(section));
        return role == Qt::DisplayRole ? QVariant(titles[section]) : QVariant();
    }
    QVariant data(const QModelIndex& index, int role) const override
    {
        constexpr StatusKind states[] = { StatusKind::Failed, StatusKind::Attention,
            StatusKind::Running, StatusKind::Busy, StatusKind::Good };
        static const QStringList texts { u"2 s"_s, u"sft-support-8b-full-r4"_s, u"SFT"_s,
            u"13,212"_s, u"1.8113"_s, u"−0.0064"_s, {}, u"yes"_s, {} };
        const int row = index.row();
        if (role == +Role::Cell)
            return int(kind(index.column()));
        if (role == Qt::DisplayRole)
            return texts[index.column()];
        if (role == Qt::AccessibleTextRole)
            return u"sft-support-8b-full-r4, running, last progress 2 s ago"_s;
        if (role == +Role::IsBaseline)
            return row == 4;
        switch (index.column()) {
        case Evidence:
            return role == +Role::StatusCode ? QVariant(int(states[row % 5])) : QVariant();
        case Name:
            return role == +Role::Swatch ? QVariant(row) : QVariant();
        case Kind:
            return role == +Role::Tone ? QVariant(int(Tone::Secondary)) : QVariant();
        case Step:
            if (role == +Role::Secondary)
                return u" / 18,000"_s;
            return role == +Role::Fraction ? QVariant(0.73) : QVariant();
        case Delta:
            return role == +Role::Tone ? QVariant(int(Tone::Better)) : QVariant();
        case Trend:
            if (role == +Role::Spark)
                return QVariant::fromValue(
                    SparkValue { u"r"_s, 1, { 3, 2.5F, 2.2F, 2.1F, 2.05F }, 1.F, row == 0 });
            return role == +Role::Swatch ? QVariant(row) : QVariant();
        case Promotable:
            if (role == +Role::StatusCode)
                return int(row % 2 ? StatusKind::No : StatusKind::Good);
            return role == +Role::Reason && row % 2 ? QVariant(u"needs its base"_s) : QVariant();
        case Serving:
            if (role == +Role::Pills)
                return QVariant::fromValue(
                    QList<PillValue> { { u"eval 3/4"_s, StatusKind::Busy, false },
                        { u"rollout"_s, StatusKind::Good, true } });
            return {};
        default:
            return {};
        }
    }
    void reset(int count)
    {
        beginResetModel();
        rows = count;
        endResetModel();
    }
};

class WidgetsTest : public QObject
{
    Q_OBJECT

private:
    std::unique_ptr<Theme> m_theme;

    static void show(QWidget& widget)
    {
        widget.show();
        widget.activateWindow();
        QVERIFY(QTest::qWaitForWindowActive(&widget));
    }

private Q_SLOTS:
    void initTestCase() { m_theme = std::make_unique<Theme>(Theme::Mode::Light); }

    void table_paintsEveryKindInBothThemes()
    {
        CellModel model;
        QAbstractItemModelTester tester(
            &model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        TableView table;
        table.setModel(&model);
        table.setColumnWidths({ 80, 180, 54, 112, 76, 74, 66, 130, 0 });
        table.resize(930, 200);
        show(table);
        table.setFocus();
        table.selectRow(2);
        QTest::qWait(30);
        keepPicture(table, u"table-light"_s);
        const QImage light = table.viewport()->grab().toImage();
        // Selection fill right of the 2 px accent bar of the first visual column.
        const QRect cell = table.visualRect(model.index(2, 0));
        QCOMPARE(QColor(light.pixel(cell.left(), cell.center().y())), tokens().accent);
        QCOMPARE(QColor(light.pixel(cell.left() + 4, cell.top() + 2)), tokens().selection);
        m_theme->setMode(Theme::Mode::Dark);
        QTest::qWait(30);
        keepPicture(table, u"table-dark"_s);
        m_theme->setMode(Theme::Mode::Light);
        QTest::qWait(30);
        QCOMPARE(table.viewport()->grab().toImage(), light);
    }
    void table_withoutFocus_keepsTheSelectionInItsQuietForm()
    {
        QWidget window;
        auto* column = new QVBoxLayout(&window);
        CellModel model;
        auto* table = new TableView;
        auto* other = new QLineEdit;
        table->setModel(&model);
        column->addWidget(table);
        column->addWidget(other);
        window.resize(900, 300);
        show(window);
        table->setFocus();
        table->selectRow(1);
        other->setFocus();
        QTest::qWait(20);
        const QImage image = table->viewport()->grab().toImage();
        const QRect cell = table->visualRect(model.index(1, 0));
        QCOMPARE(QColor(image.pixel(cell.left() + 4, cell.top() + 2)), tokens().surface2);
        QCOMPARE(QColor(image.pixel(cell.left() + 1, cell.top() + 2)), tokens().accent);
    }
    void table_alwaysHasACurrentIndex()
    {
        CellModel model;
        model.rows = 0;
        TableView table;
        table.setModel(&model);
        QVERIFY(!table.currentIndex().isValid());
        model.reset(3);
        QTRY_VERIFY(table.currentIndex().isValid());
        QVERIFY(table.selectionModel()->selectedRows().isEmpty());
    }
    void table_enterOpensTheRowAndTabLeaves()
    {
        QWidget window;
        auto* column = new QVBoxLayout(&window);
        CellModel model;
        auto* table = new TableView;
        auto* after = new QLineEdit;
        table->setModel(&model);
        column->addWidget(table);
        column->addWidget(after);
        show(window);
        table->setFocus();
        QTRY_VERIFY(table->currentIndex().isValid());
        QSignalSpy spy(table, &TableView::rowActivated);
        QTest::keyClick(table, Qt::Key_Down);
        QTest::keyClick(table, Qt::Key_Return);
        QCOMPARE(spy.count(), 1);
        QCOMPARE(spy[0][0].toModelIndex().row(), 1);
        QTest::keyClick(table, Qt::Key_End);
        QCOMPARE(table->currentIndex().row(), 4);
        QTest::mouseDClick(
            table->viewport(), Qt::LeftButton, {}, table->visualRect(model.index(0, 2)).center());
        QCOMPARE(spy.count(), 2);
        QTest::keyClick(table, Qt::Key_Tab);
        QVERIFY(after->hasFocus());
    }
    void table_headerAlignsNumbersRight()
    {
        CellModel model;
        TableView table;
        table.setModel(&model);
        table.resize(900, 120);
        table.show();
        QTest::qWait(20);
        QCOMPARE(table.horizontalHeader()->height(), 28);
        QCOMPARE(table.verticalHeader()->defaultSectionSize(), 28);
    }

    void markTable_actionRunsByMouseAndByEnter()
    {
        MarkTable table({}, { 116, 0, 90 }, u"Operations"_s);
        table.setRows({ { { u"<!run><.6><r>loading"_s }, { u"Hotload <m>step-420"_s },
                            { {}, -1, -1, Tone::Normal, u"Open"_s } },
                          { { u"<!unknown><.6><w>unknown"_s }, { {}, 0.36, 0.5 },
                              { {}, -1, -1, Tone::Normal, u"Reconcile…"_s, true } } },
            { u"op1"_s, u"op2"_s });
        table.resize(600, 90);
        show(table);
        keepPicture(table, u"marks-light"_s);
        QSignalSpy spy(&table, &TableView::actionActivated);
        const QModelIndex cell = table.model()->index(1, 2);
        QTest::mouseClick(table.viewport(), Qt::LeftButton, {},
            QPoint(table.visualRect(cell).right() - 20, table.visualRect(cell).center().y()));
        QCOMPARE(spy.count(), 1);
        QCOMPARE(spy[0][0].toModelIndex().data(+Role::Id).toString(), u"op2"_s);
        QTest::mouseClick(table.viewport(), Qt::LeftButton, {},
            table.visualRect(table.model()->index(0, 1)).center());
        QCOMPARE(spy.count(), 1);
        table.setFocus();
        table.setCurrentIndex(table.model()->index(0, 0));
        QTest::keyClick(&table, Qt::Key_Return);
        QCOMPARE(spy.count(), 2);
        QCOMPARE(spy[1][0].toModelIndex().data(+Role::Id).toString(), u"op1"_s);
        QCOMPARE(
            table.model()->index(1, 1).data(Qt::AccessibleTextRole).toString(), u"36 percent"_s);
        QCOMPARE(table.model()->index(0, 1).data().toString(), u"Hotload step-420"_s);
    }
    void markModel_refreshKeepsTheSelection()
    {
        MarkTable table({ u"A"_s, u"B"_s }, { 100, 0 }, u"Rows"_s);
        QAbstractItemModelTester tester(
            table.rows(), QAbstractItemModelTester::FailureReportingMode::QtTest);
        QList<QList<MarkCell>> rows { { { u"1"_s }, { u"a"_s } }, { { u"2"_s }, { u"b"_s } } };
        table.setRows(rows);
        table.selectRow(1);
        QSignalSpy changed(table.rows(), &QAbstractItemModel::dataChanged);
        rows[0][1].markup = u"changed"_s;
        rows.append({ { u"3"_s }, { u"c"_s } });
        table.setRows(rows);
        QCOMPARE(changed.count(), 1);
        QCOMPARE(table.selectionModel()->selectedRows().value(0).row(), 1);
        rows.resize(1);
        table.setRows(rows);
        QCOMPARE(table.rows()->rowCount(), 1);
    }

    void factList_linksWorkByMouseAndKey()
    {
        FactList list;
        list.setTitle(u"Overview"_s);
        list.setFacts({ { u"Kind"_s, u"SFT"_s, u" · full parameters"_s },
            { u"Parent"_s, u"step-410"_s, {}, {}, Tone::Normal, StatusKind::None, true,
                u"ckpt/step-410"_s },
            { u"Metrics"_s, u"metrics.jsonl"_s, u" · local"_s, u"2 s"_s } });
        list.resize(320, 140);
        show(list);
        keepPicture(list, u"facts-light"_s);
        QSignalSpy spy(&list, &FactList::linkActivated);
        SpanLabel* link = nullptr;
        const auto labels = list.findChildren<SpanLabel*>();
        for (SpanLabel* label : labels) {
            if (label->text() == u"step-410")
                link = label;
        }
        QVERIFY(link);
        QCOMPARE(link->accessibleName(), u"Parent: step-410"_s);
        QTest::mouseClick(link, Qt::LeftButton);
        QTest::keyClick(link, Qt::Key_Return);
        QCOMPARE(spy.count(), 2);
        QCOMPARE(spy[1][0].toString(), u"ckpt/step-410"_s);
        list.setFacts({ { u"Kind"_s, u"<b>SFT"_s } });
        QVERIFY(!link->isVisible());
        QVERIFY(std::any_of(labels.begin(), labels.end(),
            [](const SpanLabel* l) { return l->text() == u"<b>SFT"; }));
    }

    void chip_togglesByMouseAndSpace()
    {
        ChipButton chip(u"linked"_s, StatusKind::Running, u"link"_s);
        show(chip);
        QSignalSpy spy(&chip, &ChipButton::clicked);
        QTest::mouseClick(&chip, Qt::LeftButton);
        QVERIFY(chip.isChecked());
        chip.setFocus();
        QTest::keyClick(&chip, Qt::Key_Space);
        QVERIFY(!chip.isChecked());
        QCOMPARE(spy.count(), 2);
    }
    void actionButton_followsTheAction()
    {
        QAction action(u"Promote…"_s);
        action.setObjectName(u"ckpt.promote"_s);
        const std::unique_ptr<QPushButton> button(makeButton(&action));
        action.setStatusTip(u"A delta of a full-parameter run is not a whole model"_s);
        action.setEnabled(false);
        QVERIFY(!button->isEnabled());
        QVERIFY(button->accessibleDescription().startsWith(u"A delta"));
        action.setEnabled(true);
        QSignalSpy spy(&action, &QAction::triggered);
        QTest::mouseClick(button.get(), Qt::LeftButton);
        QCOMPARE(spy.count(), 1);
        QVERIFY(button->accessibleDescription().isEmpty());
    }
    void grip_dragsADockWhoseSeparatorIsOnePixel()
    {
        QMainWindow window;
        window.setCentralWidget(new QWidget);
        auto* dock = new QDockWidget(u"Inspector"_s);
        auto* content = new QWidget;
        content->setMinimumWidth(120);
        dock->setWidget(content);
        window.addDockWidget(Qt::RightDockWidgetArea, dock);
        window.resize(800, 400);
        auto* grip = new DockGrip(window, *dock);
        show(window);
        window.resizeDocks({ dock }, { 240 }, Qt::Horizontal);
        QTRY_COMPARE(dock->width(), 240);
        QTRY_VERIFY(grip->geometry().contains(dock->geometry().left() - 1, 200));
        QTest::mousePress(grip, Qt::LeftButton, {}, QPoint(3, 200));
        QTest::mouseMove(grip, QPoint(-57, 200));
        QTest::mouseRelease(grip, Qt::LeftButton, {}, QPoint(3, 200));
        QTRY_COMPARE(dock->width(), 300);
        dock->hide();
        QTRY_VERIFY(!grip->isVisible());
    }
    void codeBlock_keepsItsTextAndFits()
    {
        CodeBlock block(u"Request"_s);
        block.setFitsLines(true);
        block.setCode(u"curl -X POST https://example.org \\\n  -d '{\"a\": \"b\"}'"_s);
        const int two = block.height();
        block.setCode(u"curl"_s);
        QVERIFY(block.minimumHeight() < two);
        QCOMPARE(block.code(), u"curl"_s);
    }
    void sparkline_isDrawnOncePerVersion()
    {
        QPixmapCache::clear();
        SparkValue value { u"job"_s, 1, { 3, 2, 1 }, 1.F, false };
        const auto first = sparkline(value, QSize(48, 18), 1, Qt::blue).cacheKey();
        QCOMPARE(sparkline(value, QSize(48, 18), 1, Qt::blue).cacheKey(), first);
        value.version = 2;
        QVERIFY(sparkline(value, QSize(48, 18), 1, Qt::blue).cacheKey() != first);
        value.values = { std::nanf(""), 1, std::nanf("") };
        value.version = 3;
        QVERIFY(!sparkline(value, QSize(48, 18), 2, Qt::blue).isNull());
    }
    void tilesPillsAndBands_speak()
    {
        Tile tile(u"eval/loss"_s);
        tile.setValue(u"1.8589"_s);
        tile.setNote(u"<s>best, step <#>13,200"_s);
        QCOMPARE(tile.accessibleName(), u"eval/loss 1.8589"_s);
        QCOMPARE(tile.accessibleDescription(), u"best, step 13,200"_s);
        Band band;
        band.setContent(int(StatusKind::Good), u"Bit-exact"_s, u"12 of 12 tensors"_s);
        QCOMPARE(band.accessibleName(), u"Bit-exact 12 of 12 tensors"_s);
        Pill pill(u"LIVE"_s, StatusKind::Good);
        QVERIFY(pill.sizeHint().width() > 20);
        const std::unique_ptr<QToolButton> more(makeIconButton(u"more"_s, u"More actions"_s));
        QCOMPARE(more->accessibleName(), u"More actions"_s);
        const std::unique_ptr<QTabBar> tabs(
            makeTabBar({ u"Checkpoints\t8"_s }, u"Pages"_s, true, 28));
        QCOMPARE(tabs->accessibleTabName(0), u"Checkpoints, 8"_s);
    }
    void box_showsTheRingOfItsBareEdit()
    {
        QWidget window;
        auto* column = new QVBoxLayout(&window);
        auto* box = new Box;
        auto* row = new QHBoxLayout(box);
        row->setContentsMargins(8, 0, 8, 0);
        QLineEdit* edit = makeBareEdit(u"filter"_s, u"Filter"_s);
        row->addWidget(edit);
        box->setRingFor(edit);
        column->addWidget(box);
        column->addWidget(new QLineEdit);
        show(window);
        edit->setFocus();
        QTest::qWait(10);
        QCOMPARE(QColor(box->grab().toImage().pixel(box->width() / 2, 0)), tokens().accent);
    }
};

QTEST_MAIN(WidgetsTest)
#include "tst_widgets.moc"
