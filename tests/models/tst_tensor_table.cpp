// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/item_roles.h"
#include "models/row_order_model.h"
#include "models/tensor_table_model.h"

#include <QAbstractItemModelTester>
#include <QTest>

using namespace Qt::StringLiterals;
using desk::TensorRow;
using desk::TensorStatus;
using desk::TensorTableModel;
using Column = TensorTableModel::Column;

namespace {

TensorRow tensorOf(const char* name, std::uint64_t changed, std::uint64_t elements,
    TensorStatus status = TensorStatus::Exact)
{
    TensorRow row;
    row.name = name;
    row.dtype = desk::Dtype::BF16;
    row.shape = { elements };
    row.elements = elements;
    row.changed = changed;
    if (elements > 0)
        row.changedFraction = double(changed) / double(elements);
    row.status = status;
    return row;
}

} // namespace

class TestTensorTable : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void init() { QTest::failOnWarning(QRegularExpression(u".*"_s)); }

    void emptyTensor_hasNoShareOfChange()
    {
        TensorTableModel model;
        const QAbstractItemModelTester tester(
            &model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        model.setRows({ tensorOf("marker", 0, 0) });
        QCOMPARE(model.index(0, int(Column::Changed)).data().toString(), u"–"_s);
        QCOMPARE(model.index(0, int(Column::Shape)).data().toString(), u"0 · 0 elements"_s);
        QVERIFY(!model.index(0, int(Column::Changed)).data(+desk::Role::Fraction).isValid());
    }

    void order_isWorstStatusThenLargestChange()
    {
        TensorTableModel model;
        model.setRows({ tensorOf("quiet", 1, 100), tensorOf("busy", 50, 100),
            tensorOf("wrong", 0, 100, TensorStatus::Mismatch),
            tensorOf("lost", 0, 100, TensorStatus::Missing) });
        desk::RowOrderModel order;
        order.setSourceModel(&model);
        order.sort(int(Column::Verdict), Qt::AscendingOrder);
        QStringList names;
        for (int row = 0; row < order.rowCount(); ++row)
            names << order.index(row, 0).data().toString();
        QCOMPARE(names, QStringList({ u"wrong"_s, u"lost"_s, u"busy"_s, u"quiet"_s }));
        QCOMPARE(model.changedCount(), 2);
        QCOMPARE(model.mismatchCount(), 2);
    }

    void bars_areScaledToTheLargestChange()
    {
        TensorTableModel model;
        model.setRows({ tensorOf("a", 5, 100), tensorOf("b", 10, 100) });
        QCOMPARE(model.index(0, int(Column::Changed)).data().toString(), u"5.00"_s);
        QCOMPARE(model.index(0, int(Column::Changed)).data(+desk::Role::Fraction).toDouble(), 0.5);
        QCOMPARE(model.index(1, int(Column::Changed)).data(+desk::Role::Fraction).toDouble(), 1.0);
    }

    void heatMap_placesTensorsByName()
    {
        const auto map = desk::heatMapOf({ tensorOf("model.embed_tokens.weight", 1, 10),
            tensorOf("model.layers.0.self_attn.q_proj.weight", 2, 10),
            tensorOf("model.layers.0.self_attn.k_proj.weight", 0, 10),
            tensorOf("model.layers.0.self_attn.q_norm.weight", 3, 10),
            tensorOf("model.layers.2.mlp.down_proj.weight", 5, 10),
            tensorOf("model.layers.2.input_layernorm.weight", 0, 10),
            tensorOf("model.norm.weight", 0, 10), tensorOf("lm_head.weight", 4, 10),
            tensorOf("something.else", 0, 10), tensorOf("model.layers.99999.mlp.x", 0, 10) });
        QCOMPARE(map.layers(), 3);
        QCOMPARE(map.attention[0]->fraction(), 0.1);
        QCOMPARE(map.norms[0]->fraction(), 0.3);
        QVERIFY(!map.attention[1].has_value());
        QCOMPARE(map.mlp[2]->fraction(), 0.5);
        QCOMPARE(map.norms[2]->fraction(), 0.0);
        QCOMPARE(map.embedding->fraction(), 0.1);
        QCOMPARE(map.head->fraction(), 0.4);
        QCOMPARE(map.others->rows.size(), std::size_t(2));
        QCOMPARE(map.largest, 0.5);
    }
};

QTEST_GUILESS_MAIN(TestTensorTable)
#include "tst_tensor_table.moc"
