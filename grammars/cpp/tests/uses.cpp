#include "uses.hpp"

namespace walk {

class Uses : public Table<Row>, private store::Base {
public:
    Rows walk(const Step &step, Depth depth) override {
        auto first = store::rows::first_step<Row>(step, kLimit);
        for (const auto &row : first.all()) {
            helper(row, std::make_unique<Other>(depth), new Node(row.kind));
        }
        return convert<Rows>(first);
    }
};

}
