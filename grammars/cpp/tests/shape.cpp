// What the file is for.
#include <vector>

namespace geometry {

namespace detail::deep {
constexpr int limit = 3;
}

using Points = std::vector<int>;

/// A shape.
class Shape : public Base {
public:
    Shape() = default;
    explicit Shape(int sides);
    virtual ~Shape();

    // How large.
    virtual double area() const = 0;
    int sides() const { return sides_; }
    static Shape *make(const char *name);
    Shape &operator=(const Shape &other);
    bool operator==(const Shape &other) const { return true; }
    operator bool() const { return true; }
    template <typename T>
    T as() const;

    enum class Kind { Round, Square };

    struct Options {
        int depth = 0;
    };

private:
    int sides_ = 0;
    static int count;
    const std::string &name_;
};

template <typename T, int N>
class Array {
    T items[N];

public:
    T &at(int index) { return items[index]; }
};

template <>
struct Hash<Shape> {
    int operator()(const Shape &shape) const;
};

template <typename T>
concept Drawable = requires(T shape) { shape.draw(); };

Shape::Shape(int sides) : sides_(sides) {}

Shape::~Shape() {}

int Shape::count = 0;

Shape *Shape::make(const char *name) {
    auto local = [](int x) { int deeper = x; return deeper; };
    return nullptr;
}

template <typename T>
T Shape::as() const {
    return T();
}

const Shape &pick(const Shape &first, const Shape &) { return first; }

template <typename T>
T twice(T value) {
    return value + value;
}

} // namespace geometry

std::ostream &operator<<(std::ostream &out, const geometry::Shape &shape) {
    return out;
}

extern "C" {
int exported(void);
}

int geometry::detail::deep::helper() { return 1; }

template <>
double area<Shape>(const Shape &shape) {
    return shape.area();
}

template <>
void Grid<int>::fill<4>(int value) {}
