require "json"
require_relative "../store/rows"

module Walks
  class Uses < Store::Table
    include Comparable
    extend Store::Helpers

    def walk(depth, limit: DEFAULT_LIMIT, *rest, &block)
      first = Rows.first(depth)
      first.each { |row| visit(row, convert) }
      block.call(Step.new)
    end
  end
end
