using System;

namespace Example.Services;

/// <summary>Serves.</summary>
[Serializable]
public class Service<T> : Base, IService where T : class
{
    public const int Limit = 10;
    private readonly string name, host;

    public event EventHandler Changed;

    // Makes one.
    public Service(string name)
    {
        int local = 1;
        this.name = name;
    }

    public string Name { get; set; } = "";

    public int Size => 1;

    [Obsolete]
    public async Task<R> Map<R>(
        Func<T, R> function)
    {
        int Helper(int x) => x;
        return default;
    }

    ~Service() { }

    public static bool operator ==(Service<T> left, Service<T> right) => true;

    public static implicit operator Pair(Service<T> one) => default;

    public class Nested
    {
        int field;
    }
}

public interface IService
{
    string Name { get; }
    void Run();
}

public enum Color { Red, Green = 2 }

public record Point(int X, int Y);

public struct Pair { public int Left; }

public delegate void Handler(object sender);
