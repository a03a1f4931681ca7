# frozen_string_literal: true

require "set"

# What the module is for.
module Example
  LIMIT = 10

  # A thing.
  class Thing < Base
    attr_reader :name, :size
    KINDS = %w[a b].freeze

    # Makes one.
    def initialize(name, size: 1)
      @name = name
      local = size
    end

    def self.make
      new("x")
    end

    class << self
      def other; end
    end

    def ==(other)
      name == other.name
    end

    def empty?
      false
    end

    alias_method :blank?, :empty?
    alias same ==

    private

    def hidden(*args, &block) = 1
  end

  def helper
    1
  end

  class Error < StandardError; end
end

class Example::Other
  def run; end
end

def top_level(a)
  a
end

task :build do
  value = 1
end
