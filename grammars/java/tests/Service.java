package com.example.service;

import java.util.List;

/**
 * Serves.
 *
 * @since 1
 */
@Component
public class Service<T> extends Base implements Runnable {
    private static final int LIMIT = 10;
    protected String name, host;

    /** Makes one. */
    public Service(String name) {
        int local = 1;
        this.name = name;
    }

    @Override
    public void run() {
        Runnable task = new Runnable() {
            private int count;

            @Override
            public void run() {}
        };
    }

    // Generic.
    public <R> List<R> map(
            Function<T, R> function,
            int limit) throws IOException {
        return null;
    }

    static class Nested {
        int field;
    }

    enum Color implements Named {
        RED, GREEN("g") {
            void shade() {}
        };

        private final String code = "";

        Color() {}
    }

    interface Named {
        int MAX = 3;

        String name();

        default void print() {}
    }

    record Point(int x, int y) {
        Point {
            check(x);
        }

        double length() {
            return 0;
        }
    }

    @interface Marker {
        String value() default "";
    }
}
